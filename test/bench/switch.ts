import { waitFor } from '../support/wait.ts';
import { benchNode } from './real-node.ts';
import { type Report, report, variant } from './report.ts';

const pairs = 200;

const manifest = (name: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${name}}
spec: {baseModel: bench, source: {path: {path: ${name}}}, preload: {tier: Memory}}
`;

/**
 * Time to first token right after another adapter, against right after the same one: pairs in random order, one stream,
 * one token, through gRPC. `switch_extra`: what the engine itself says passed between picking the request and running it.
 */
export const switchBench = async (): Promise<Report> => {
  const { node, model, adapters, prompt } = await benchNode(manifest);
  try {
    const resident = async () =>
      (await node.client.status()).adapters.filter((a) => a.state === 'Resident').length === 2;
    await waitFor('both adapters to be resident', resident, 120_000);
    const ask = (adapter: string) => node.client.ask({ model: adapter, prompt, maxTokens: 1 });
    for (let i = 0; i < 10; i++) for (const adapter of adapters) await ask(adapter);

    const same: number[] = [];
    const switched: number[] = [];
    const extra: number[] = [];
    const ratios: number[] = [];
    let [last, other] = adapters;
    for (let i = 0; i < pairs; i++) {
      const measured = { same: 0, switched: 0 };
      for (const kind of i % 2 === 0 ? (['same', 'switched'] as const) : (['switched', 'same'] as const)) {
        if (kind === 'switched') [last, other] = [other, last];
        const answer = await ask(last);
        measured[kind] = answer.firstMs;
        if (kind === 'switched') extra.push(answer.timing.switchMs);
      }
      same.push(measured.same);
      switched.push(measured.switched);
      ratios.push(measured.switched / measured.same);
      if (i % 50 === 49) console.error(`switch: ${i + 1} of ${pairs} pairs`);
    }
    return report('switch', 'ms', {
      results: { same: variant(same), switched: variant(switched), switch_extra: variant(extra) },
      ratios: { switch_over_same: variant(ratios).median },
      setup: { model, threads: 1, prompt_characters: prompt.length, pairs },
    });
  } finally {
    await node.dispose();
  }
};
