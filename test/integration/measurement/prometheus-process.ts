import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../cluster/ports.ts';
import { LoggedProcess } from '../../cluster/process.ts';
import { waitFor } from '../../support/wait.ts';

/** A Prometheus on a loopback port that scrapes `/metrics` of the targets (`host:port`) and looks at its rules five times a second. */
export type PrometheusProcess = AsyncDisposable & {
  readonly address: string;
  /** Ends it at once; the address then refuses connections. */
  stop(): Promise<void>;
};

export const startPrometheus = async (
  program: string,
  targets: readonly string[],
  ruleFiles: readonly string[] = [],
): Promise<PrometheusProcess> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-prometheus-'));
  const config = join(folder, 'prometheus.yml');
  // YAML takes JSON.
  const settings = {
    global: { scrape_interval: '200ms', scrape_timeout: '200ms', evaluation_interval: '200ms' },
    rule_files: ruleFiles,
    scrape_configs: [{ job_name: 'test', static_configs: [{ targets }] }],
  };
  await writeFile(config, JSON.stringify(settings));
  const address = `127.0.0.1:${await freePort()}`;
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
  ];
  const child = new LoggedProcess('prometheus', program, args, join(folder, 'log'));
  await waitFor('Prometheus to be ready', async () => {
    child.throwWhenEnded();
    return (await fetch(`http://${address}/-/ready`)).ok;
  });
  const stop = () => child.end('SIGKILL');
  return {
    address: `http://${address}`,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
