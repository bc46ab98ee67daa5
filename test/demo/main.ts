/**
 * The main job, with real requests on the tiny model. `--keep` leaves the node running and prints commands to try.
 * Exits with 1 when anything is not as it says.
 */
import type { Rollout } from '../../src/gen/adaptlet/inference/v1/admin.ts';
import type { CallError } from '../support/client.ts';
import { moon } from '../support/moon.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { Findings, median, ms, say, title } from './findings.ts';

const adapters = ['upper', 'reverse', 'digits', 'hello'] as const;
const findings = new Findings();
const check = findings.check.bind(findings);

title('Starting a node: tiny model, no cluster, manifests from a folder');
const node = await TestNode.start({ settings: { 'log-level': 'info' } });
const { client } = node;
const ask = (model: string, user = '') => client.ask({ model, prompt: 'moon:', user });
const rollout = async (): Promise<Rollout> => {
  const found = (await client.status()).rollouts[0];
  if (found === undefined) throw new Error('the rollout is not there');
  return found;
};
const short = (digest: string): string => digest.slice(7, 19);

const oneBaseFourAdapters = async (): Promise<void> => {
  title('1. One base model, four adapters');
  await node.write('adapters.yaml', adapters.map((a) => yaml.adapter(a, `adapters/${a}`)).join(''));
  await waitFor('the adapters', async () => (await client.status()).adapters.length === adapters.length);
  const base = await ask('tiny');
  check(
    'base',
    `"moon:" -> "${base.text}"  digest ${short(base.served.digest)}`,
    base.text === moon.base && base.served.adapter === '',
  );
  for (const name of adapters) {
    const { text, served } = await ask(name);
    check(
      name,
      `"moon:" -> "${text}"  digest ${short(served.digest)}`,
      text === moon[name] && served.adapter === name,
    );
  }
};

const switching = async (): Promise<void> => {
  title('2. Switching between resident adapters');
  const same: number[] = [];
  const switched: number[] = [];
  const extra: number[] = [];
  for (let i = 0; i < 100; i++) {
    same.push((await ask('upper')).firstMs);
    const answer = await ask('digits');
    switched.push(answer.firstMs);
    extra.push(answer.timing.switchMs);
    await ask('upper');
  }
  say(
    `time to first token: same adapter ${ms(median(same))}, after a switch ${ms(median(switched))} (medians of 100)`,
  );
  check('cost of the switch in the engine', `median ${ms(median(extra))}`, median(extra) < 1);
};

const canary = async (): Promise<void> => {
  title('3. A canary at 20 % of the users, each of them on one side');
  await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 20}, {pause: {}}'));
  await waitFor('stable', async () => (await rollout()).phase === 'Healthy');
  await node.write('shout.yaml', yaml.rollout('shout', 'reverse', '{setWeight: 20}, {pause: {}}'));
  await waitFor('20 %', async () => (await rollout()).effectiveWeight === 20);
  const users = Array.from({ length: 500 }, (_, i) => `user-${i}`);
  const arms = new Map<string, string>();
  for (const user of users) arms.set(user, (await ask('shout', user)).served.arm);
  const share = ([...arms.values()].filter((arm) => arm === 'canary').length / users.length) * 100;
  check('observed share of 500 users', `${share.toFixed(1)} %`, Math.abs(share - 20) < 5);
  const [user] = users;
  if (user === undefined) return;
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) seen.add((await ask('shout', user)).served.arm);
  check(`${user}, 20 requests`, [...seen].join(', '), seen.size === 1 && seen.has(arms.get(user) ?? ''));
};

const routing = async (): Promise<void> => {
  title('4. A route by user');
  const rules = `  - {name: ann, matches: [{user: {in: [ann]}}], targets: [{adapter: hello}]}\n  - {name: rest, targets: [{rollout: shout}]}\n`;
  await node.write(
    'route.yaml',
    `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRoute\nmetadata: {name: assistant}\nspec:\n  model: assistant\n  rules:\n${rules}`,
  );
  await waitFor('the route', async () => (await client.status()).routes.length === 1);
  const ann = await ask('assistant', 'ann');
  check('ann', `"${ann.text}" by rule ${ann.served.rule}`, ann.text === moon.hello);
  const bob = await ask('assistant', 'bob');
  check(
    'bob',
    `"${bob.text}" by rule ${bob.served.rule}, ${bob.served.arm} of ${bob.served.rollout}`,
    bob.served.rollout === 'shout',
  );
};

const broken = async (): Promise<void> => {
  title('5. A broken adapter is refused, stable goes on');
  await node.write('broken.yaml', yaml.adapter('broken', 'variants/broken-nan'));
  await node.write('shout.yaml', yaml.rollout('shout', 'broken', '{setWeight: 20}, {pause: {}}'));
  const degraded = await waitFor('the verdict', async () => {
    const r = await rollout();
    return r.phase === 'Degraded' && r;
  });
  say(degraded.message);
  const refused = await ask('broken').then(
    ({ text }) => `answered "${text}"`,
    (error: unknown) => (error as CallError).code,
  );
  check('a request for the broken adapter', refused, refused === 'ADAPTER_NOT_AVAILABLE');
  const texts = new Set<string>();
  for (let i = 0; i < 50; i++) texts.add((await ask('shout', `user-${i}`)).text);
  check(
    '50 users of the rollout',
    [...texts].map((t) => `"${t}"`).join(', '),
    texts.size === 1 && texts.has(moon.upper),
  );
};

const rollback = async (): Promise<void> => {
  title('6. Rolling back under traffic');
  await node.write('shout.yaml', yaml.rollout('shout', 'digits', '{setWeight: 100}, {pause: {}}'));
  await waitFor('the canary at 100 %', async () => (await rollout()).effectiveWeight === 100);
  let running = true;
  let failed = 0;
  let lastCanary = 0;
  let asked = 0;
  const lanes = Array.from({ length: 4 }, async (_, lane) => {
    for (let i = 0; running; i++) {
      asked++;
      // Counted by when the request was sent: what was under way may finish on the canary.
      const sent = performance.now();
      const answer = await ask('shout', `lane-${lane}-${i}`).catch(() => undefined);
      if (answer === undefined) failed++;
      else if (answer.served.arm === 'canary') lastCanary = Math.max(lastCanary, sent);
    }
  });
  await waitFor('traffic', () => asked > 50);
  const pressed = performance.now();
  await new Promise<void>((resolve, reject) => {
    client.admin.rollback({ rollout: 'shout' }, (error) => (error === null ? resolve() : reject(error)));
  });
  const confirmed = performance.now();
  const after = asked;
  await waitFor('more traffic', () => asked > after + 50);
  running = false;
  await Promise.all(lanes);
  const late = Math.max(0, lastCanary - confirmed);
  say(`rollback confirmed after ${ms(confirmed - pressed)}; ${asked} requests, ${failed} failed`);
  check(
    'requests that got the canary after the confirmation',
    late > 0 ? ms(late) : 'none',
    late === 0 && failed === 0,
  );
};

const keep = async (): Promise<void> => {
  title('The node is still running; Ctrl-C ends it');
  say(`bin/adaptlet status --data-dir ${node.data}`);
  say(`bin/adaptlet generate --server ${node.grpc} --model assistant --user ann "moon:"`);
  say(`bin/adaptlet generate --server ${node.grpc} --model tiny "moon:"`);
  say(
    `curl -s ${node.http}/v1/completions -H 'content-type: application/json' -d '{"model": "shout", "prompt": "moon:"}'`,
  );
  say(`curl -s ${node.http}/metrics`);
  say(`edit the manifests in ${node.manifests} and watch: bin/adaptlet status --data-dir ${node.data}`);
  await new Promise((resolve) => process.once('SIGINT', resolve));
};

let ok = false;
try {
  for (const part of [oneBaseFourAdapters, switching, canary, routing, broken, rollback]) await part();
  ok = findings.summary();
  if (process.argv.includes('--keep')) await keep();
} finally {
  await node.dispose();
}
process.exit(ok ? 0 : 1);
