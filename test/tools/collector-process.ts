import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../cluster/ports.ts';
import { type Span, spansOf, type WireRequest } from '../support/collector.ts';
import { waitFor } from '../support/wait.ts';

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
};

/** Starts the collector that `tool('otelcol')` built: OTLP over HTTP on a loopback port, and a file in `dir` with what came. */
export const startCollector = async (binary: string, dir: string) => {
  const [endpoint, path] = [`127.0.0.1:${await freePort()}`, join(dir, 'traces.jsonl')];
  const config = {
    receivers: { otlp: { protocols: { http: { endpoint } } } },
    exporters: { file: { path, flush_interval: '100ms' } },
    service: {
      pipelines: { traces: { receivers: ['otlp'], exporters: ['file'] } },
      telemetry: { metrics: { level: 'none' }, logs: { level: 'error' } },
    },
  };
  // JSON is YAML.
  const child = spawn(binary, ['--config', `yaml:${JSON.stringify(config)}`], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  await waitFor('the collector', async () => {
    if (child.exitCode !== null) throw new Error(`the collector ended with ${child.exitCode}`);
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
    return await fetch(`http://${endpoint}/v1/traces`, options).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  return {
    endpoint: `http://${endpoint}`,
    /** All that came so far. */
    spans: async (): Promise<readonly Span[]> => {
      const text = await readFile(path, 'utf8').catch(() => '');
      // The last line may still be written.
      return text
        .slice(0, text.lastIndexOf('\n') + 1)
        .split('\n')
        .flatMap((line) => (line === '' ? [] : spansOf(JSON.parse(line) as WireRequest)));
    },
    [Symbol.asyncDispose]: () => ended(child),
  };
};
