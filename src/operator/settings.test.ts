import { describe, expect, it } from 'vitest';
import { readSettings } from '../settings/settings.ts';
import { completeSettings, gatewaySettings, operatorSettingsSchema } from './settings.ts';

const hosts = (metricHosts: string) => readSettings(operatorSettingsSchema, { metricHosts }, {}).metricHosts;

describe('the hosts that metrics may be asked of', () => {
  it('are a list, and every host without one', () => {
    expect(hosts('prometheus.monitoring.svc:9090, *.metrics.example')).toEqual([
      'prometheus.monitoring.svc:9090',
      '*.metrics.example',
    ]);
    expect(readSettings(operatorSettingsSchema, {}, {}).metricHosts).toEqual([]);
  });

  it('are refused at the start when one is a URL: it would match nothing', () => {
    expect(() => hosts('prometheus,http://x:9090')).toThrow(
      '--metric-hosts (ADAPTLET_METRIC_HOSTS) is "prometheus,http://x:9090": must be hosts as host, host:port or *.domain',
    );
  });
});

describe('what gateways are told', () => {
  const told = (given: Readonly<Record<string, string>>) =>
    gatewaySettings(completeSettings(readSettings(operatorSettingsSchema, given, {})));

  it('is nothing unless a namespace is named, and pools need one', () => {
    expect(told({})).toBeUndefined();
    expect(told({ gatewayNamespace: 'gateways', gatewayPools: 'tiny=edge,large=big' })).toEqual({
      namespace: 'gateways',
      pools: { tiny: 'edge', large: 'big' },
    });
    const given = readSettings(operatorSettingsSchema, { gatewayPools: 'tiny=edge' }, {});
    expect(() => completeSettings(given)).toThrow('--gateway-namespace');
  });
});

describe('names of the request ports of runtimes', () => {
  const names = (given: Readonly<Record<string, string>>) =>
    completeSettings(readSettings(operatorSettingsSchema, given, {})).runtimeNames;

  it('are DNS names and addresses, and none of this machine alone or of many', () => {
    expect(names({})).toEqual([]);
    expect(names({ runtimeNames: 'llm.example, 192.0.2.7' })).toEqual(['llm.example', '192.0.2.7']);
    for (const bad of [
      '*.example',
      'localhost',
      '127.0.0.1',
      '::ffff:192.0.2.7',
      '0.0.0.0',
      'https://llm.example',
    ])
      expect(() => names({ runtimeNames: bad }), bad).toThrow('--runtime-names');
  });

  it('are none of the operator, in whatever way they are written', () => {
    const operator = 'ADAPTLET-operator.adaptlet-system.svc';
    expect(() => names({ runtimeNames: `llm.example,${operator}` })).toThrow(
      `has ${operator}, which is a name of the operator`,
    );
    expect(() => names({ runtimeNames: 'fd00:0::1', serviceNames: 'fd00::1' })).toThrow(
      'a name of the operator',
    );
    expect(() => names({ runtimeNames: 'llm.ops.example', serviceNames: '*.OPS.example' })).toThrow(
      'has llm.ops.example, which is a name of the operator',
    );
  });

  it('are so few that those of a Node are in each certificate as well', () => {
    const many = (count: number): string =>
      Array.from({ length: count }, (_, i) => `n${i}.example`).join(',');
    expect(names({ runtimeNames: many(32) })).toHaveLength(32);
    expect(() => names({ runtimeNames: many(33) })).toThrow('32 names at most');
  });
});
