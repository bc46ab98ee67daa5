import { describe, expect, it } from 'vitest';
import { withinOf } from './addresses.ts';
import { asOwnHeaders } from './gateway.ts';
import { callersWith } from './policies.fixture.ts';

const gateway = {
  objectives: new Map([
    ['interactive', 100],
    ['batch', -100],
  ]),
};
const own = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(asOwnHeaders(new Map(Object.entries(headers)), gateway));

describe('what a gateway says', () => {
  it('is read by both of its names: whose turn it is, how urgent, which conversation', () => {
    for (const prefix of ['x-llm-d', 'x-gateway']) {
      expect(
        own({
          [`${prefix}-inference-fairness-id`]: 'acme',
          [`${prefix}-inference-objective`]: 'interactive',
          'x-session-id': 's1',
        }),
      ).toMatchObject({
        'x-adaptlet-tenant': 'acme',
        'x-adaptlet-priority': '100',
        'x-adaptlet-session': 's1',
      });
    }
  });

  it('wins over what its client wrote itself', () => {
    expect(own({ 'x-llm-d-inference-fairness-id': 'acme', 'x-adaptlet-tenant': 'other' })).toMatchObject({
      'x-adaptlet-tenant': 'acme',
    });
  });

  it('says nothing by an empty header, and leaves the rest as it is', () => {
    const headers = { 'x-session-id': ' ', 'x-adaptlet-priority': '3', 'x-adaptlet-user': 'u1' };
    expect(own(headers)).toEqual(headers);
  });

  it('is no priority by an objective that means nothing here, whatever its client asked for', () => {
    const headers = { 'x-llm-d-inference-objective': 'unknown', 'x-adaptlet-priority': '3' };
    expect(own(headers)).not.toHaveProperty('x-adaptlet-priority');
  });
});

it('is believed of the addresses of gateways alone, whatever else is known of the caller', async () => {
  const { ask } = callersWith(
    {},
    { isLoopback: true, gateways: { ...gateway, isFrom: withinOf(['10.0.0.0/8']) } },
  );
  expect((await ask({}, { address: '10.1.2.3' })).gateway?.objectives.get('batch')).toBe(-100);
  for (const address of ['11.0.0.1', undefined]) expect((await ask({}, { address })).gateway).toBeUndefined();
});
