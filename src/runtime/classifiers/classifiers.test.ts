import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { classifierSchema } from '../../api/classifier.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { policySpecSchema } from '../../api/policy.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { PolicyResource, Resource } from '../../plan/resources.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { adapter, context, planOf, routeOf, rule } from '../routing/plan.fixture.ts';
import { promptTextOf, withPrompt } from '../routing/prompt-text.ts';
import { buildTable, type RoutingTable } from '../routing/table.ts';
import { classifierFiles } from './artifact-file.ts';
import { Classifiers, type ClassifiersParts } from './classifiers.ts';
import { StaticTable } from './static-table.ts';
import { axisHead, axisTable } from './tables.fixture.ts';

const digest = fakeDigest('c');
const examples = { source: { oci: { image: 'r.io/intent:v1' } }, digest };
const weatherAndMusic = [
  { name: 'weather', texts: ['rain', 'sun'] },
  { name: 'music', texts: ['jazz'] },
];

const routeWith = (classifier: Record<string, unknown>, uid = 'u', name = 'intent') => {
  const labels = ['weather'];
  const only = rule({
    name: 'a',
    matches: [{ classifier: { name, labels } }],
    targets: [{ base: true }],
  });
  const resource = routeOf('team-a/r', 'm', [only]);
  const parsed = classifierSchema.parse({ name, minConfidence: 0.5, ...classifier });
  return { ...resource, body: { ...resource.body, uid, classifiers: [parsed] } };
};
const macrotask = () => new Promise((resolve) => setImmediate(resolve));

const tableOf = (...resources: Resource[]): RoutingTable =>
  buildTable(planOf(...resources), { name: 'tiny' });

let folder = '';
beforeEach(async () => {
  folder = folderOfTest();
  for (const [name, bytes] of classifierFiles(axisTable(), 'e')) await writeFile(join(folder, name), bytes);
});

/** A source that fails as often as it is told to, and what it was asked. */
const start = ({ failures = 0, maxBytes }: { failures?: number; maxBytes?: number } = {}) => {
  const asked: string[] = [];
  const clock = new FakeClock();
  let left = failures;
  const artifacts: ClassifiersParts['artifacts'] = {
    fetch: async ({ key }, wanted, { admit }) => {
      asked.push(`fetch ${key}`);
      if (left > 0) {
        left -= 1;
        throw new AdaptletError('REGISTRY_UNAVAILABLE', 'r.io is away');
      }
      await admit?.({ digest, bytes: 1000, missingBytes: 0 });
      return { digest: wanted ?? digest, bytes: 1000 };
    },
    verify: async () => void asked.push('verify'),
    checkSigned: async (_, of, { demands }) => void asked.push(`signed ${of === digest} ${demands.length}`),
    folder: () => folder,
    quarantine: async () => void asked.push('quarantine'),
  };
  const parts = { artifacts, clock, log: silentLog, random: () => 0 };
  const classifiers = new Classifiers(maxBytes === undefined ? parts : { ...parts, maxBytes });
  const ask = (table: RoutingTable, text: string | undefined, who: Parameters<typeof context>[1] = {}) => {
    const entry = table.routes.get(routeWith({ examples }).name) ?? expect.fail('no route');
    const asking = text === undefined ? undefined : promptTextOf([{ kind: 'text', text }]);
    return classifiers.classify(entry, 'intent', withPrompt(context('m', who), asking));
  };
  const fails = (times: number) => void (left = times);
  return { classifiers, parts, asked, clock, ask, fails };
};

describe('a classifier by examples', () => {
  it('is uncertain until its artifact is here, which is fetched, verified and loaded', async () => {
    const { classifiers, asked, ask } = start();
    const table = tableOf(routeWith({ examples: { ...examples, labels: weatherAndMusic } }));
    classifiers.follow(table);
    expect(ask(table, 'rain')).toMatchObject({ label: '', doubt: 'its artifact is on its way' });
    await classifiers.settled();
    expect(ask(table, 'some jazz')).toMatchObject({ label: 'music', doubt: '' });
    expect(asked).toEqual(['fetch team-a/r/intent', 'verify']);
  });

  it('says why its artifact is not here, and is tried again', async () => {
    const { classifiers, clock, asked, ask } = start({ failures: 1 });
    const table = tableOf(routeWith({ examples: { ...examples, labels: weatherAndMusic } }));
    classifiers.follow(table);
    await classifiers.settled();
    expect(ask(table, 'rain').doubt).toBe(
      'its artifact is not here: REGISTRY_UNAVAILABLE: r.io is away. Nothing to do: it is tried again. Check the network if it lasts',
    );
    clock.advance(1000);
    await expect.poll(() => ask(table, 'rain').label).toBe('weather');
    expect(asked.filter((one) => one.startsWith('fetch'))).toHaveLength(2);
  });

  it('is tried again at once where what it failed with is over, and asked for by its newest name', async () => {
    const { classifiers, asked } = start({ failures: 1 });
    const of = { examples: { ...examples, labels: weatherAndMusic } };
    classifiers.follow(tableOf(routeWith(of)));
    await classifiers.settled();
    classifiers.follow(tableOf(routeWith(of, 'u', 'topic')));
    classifiers.retryFailed('PULL_CREDENTIAL_AWAITED');
    expect(asked).toEqual(['fetch team-a/r/intent']);
    classifiers.retryFailed('REGISTRY_UNAVAILABLE');
    classifiers.retryFailed('REGISTRY_UNAVAILABLE');
    await expect.poll(() => asked).toEqual(['fetch team-a/r/intent', 'fetch team-a/r/topic', 'verify']);
    const [state] = classifiers.states().get(routeWith(of).name) ?? [];
    await expect.poll(() => classifiers.states().get(routeWith(of).name)?.[0]?.state).toBe('Ready');
    expect(state?.name).toBe('topic');
  });

  it('that rotted on the disk is set aside, and comes again', async () => {
    const { parts, asked, clock } = start();
    let isRotten = true;
    const classifiers = new Classifiers({
      ...parts,
      artifacts: {
        ...parts.artifacts,
        verify: async () => {
          if (isRotten) throw new AdaptletError('ARTIFACT_CORRUPT', 'its digest is another');
        },
      },
    });
    const route = routeWith({ examples: { ...examples, labels: weatherAndMusic } });
    const table = tableOf(route);
    classifiers.follow(table);
    await classifiers.settled();
    expect(asked).toEqual(['fetch team-a/r/intent', 'quarantine']);
    isRotten = false;
    clock.advance(1000);
    const entry = table.routes.get(route.name) ?? expect.fail('no route');
    const asking = withPrompt(context('m'), promptTextOf([{ kind: 'text', text: 'rain' }]));
    await expect.poll(() => classifiers.classify(entry, 'intent', asking).label).toBe('weather');
    expect(asked).toEqual(['fetch team-a/r/intent', 'quarantine', 'fetch team-a/r/intent']);
  });

  it('takes the smoke tests of the adapter of a label for its examples, and follows them', async () => {
    const { classifiers, ask } = start();
    const route = routeWith({
      examples: { ...examples, labels: [{ name: 'music' }, { name: 'weather', adapter: 'w' }] },
    });
    const tested = (key: string, prompt: string): Resource => {
      const one = adapter(key);
      const smokeTests = [{ name: 's', prompt, maxTokens: 1, expect: { contains: 'x' } }];
      return { ...one, body: { ...one.body, validation: { smokeTests, allowNoEffect: false } } };
    };
    const table = tableOf(route, tested('team-a/music', 'jazz'), tested('team-a/w', 'rain'));
    classifiers.follow(table);
    await classifiers.settled();
    expect(ask(table, 'sun')).toMatchObject({ label: 'weather', doubt: '' });
    const other = tableOf(route, tested('team-a/music', 'sun'), tested('team-a/w', 'court'));
    classifiers.follow(other);
    expect(ask(other, 'sun')).toMatchObject({ label: 'music', doubt: '' });
    const without = tableOf(route, tested('team-a/w', 'rain'));
    classifiers.follow(without);
    expect(ask(without, 'sun').doubt).toBe('the label music has no example');
  });

  it('is not fetched from where its policy allows nothing, and has to be signed as the policy asks', async () => {
    const policy = (spec: Record<string, unknown>): PolicyResource => ({
      type: 'Policy',
      name: 'team-a/default' as PolicyResource['name'],
      body: { ...policySpecSchema.parse(spec), uid: 'p', isDefault: false },
    });
    const { classifiers, asked, ask } = start();
    const route = routeWith({ examples: { ...examples, labels: weatherAndMusic } });
    const denied = tableOf(route, policy({ sources: { registries: ['other.io'] } }));
    classifiers.follow(denied);
    await classifiers.settled();
    expect(ask(denied, 'rain').doubt).toMatch(/^SOURCE_NOT_ALLOWED: r.io\/intent:v1 is not below/);
    expect(asked).toEqual([]);
    const signed = tableOf(route, policy({ signatures: signersOf({ release: aKeyPair() }) }));
    classifiers.follow(signed);
    await classifiers.settled();
    expect(ask(signed, 'rain')).toMatchObject({ label: 'weather', doubt: '' });
    expect(asked).toEqual(['fetch team-a/r/intent', 'signed true 1', 'verify']);
    // Another key: what was verified for the one before counts no more.
    classifiers.follow(tableOf(route, policy({ signatures: signersOf({ other: aKeyPair() }) })));
    await classifiers.settled();
    expect(asked.slice(3)).toEqual(['fetch team-a/r/intent', 'signed true 1', 'verify']);
  });

  it('shares a table with others of its digest; tables together stay within their memory', async () => {
    const small = start({ maxBytes: 100 });
    const table = tableOf(routeWith({ examples: { ...examples, labels: weatherAndMusic } }));
    small.classifiers.follow(table);
    await small.classifiers.settled();
    expect(small.ask(table, 'rain').doubt).toMatch(/ARTIFACT_TOO_LARGE: .* may take 100 bytes/);
  });

  it('counts the head of its artifact as well', () => {
    const [plain, headed] = [
      new StaticTable(axisTable()),
      new StaticTable({ ...axisTable(), head: axisHead }),
    ];
    expect(headed.bytes - plain.bytes).toBe(axisHead.weights.byteLength + axisHead.bias.byteLength);
  });

  it('is read after others: of many that come at once one alone is in memory twice', async () => {
    const { parts } = start();
    let [reading, most] = [0, 0];
    const classifiers = new Classifiers({
      ...parts,
      artifacts: {
        ...parts.artifacts,
        verify: async () => {
          reading += 1;
          most = Math.max(most, reading);
          await new Promise((resolve) => setTimeout(resolve, 5));
          reading -= 1;
        },
      },
    });
    const routes = ['1', '2', '3'].map((hex) => {
      const one = routeWith({ examples: { ...examples, digest: fakeDigest(hex), labels: weatherAndMusic } });
      return { ...one, name: `team-a/r${hex}` as typeof one.name, body: { ...one.body, model: `m${hex}` } };
    });
    classifiers.follow(tableOf(...routes));
    await classifiers.settled();
    expect(most).toBe(1);
  });

  it('serves on where its Secret gets another name, also while that opens nothing, and not by another image', async () => {
    const { classifiers, asked, ask, fails, clock } = start();
    const by = (secret: string | undefined, image = 'r.io/intent:v1', of = digest): RoutingTable => {
      const oci = { image, ...(secret === undefined ? {} : { pullSecretRef: { name: secret } }) };
      return tableOf(
        routeWith({ examples: { ...examples, digest: of, source: { oci }, labels: weatherAndMusic } }),
      );
    };
    const fetches = () => asked.filter((one) => one.startsWith('fetch')).length;
    const state = () => [...classifiers.states().values()].flat()[0]?.state;
    classifiers.follow(by(undefined));
    await classifiers.settled();
    fails(2);
    for (const [index, secret] of ['login', 'other'].entries()) {
      const table = by(secret);
      classifiers.follow(table);
      expect(ask(table, 'rain')).toMatchObject({ label: 'weather', doubt: '' });
      await classifiers.settled();
      expect(ask(table, 'rain')).toMatchObject({ label: 'weather', doubt: '' });
      expect(fetches()).toBe(2 + index);
    }
    // It is tried again until it comes, and read no second time.
    clock.advance(1000);
    await expect.poll(fetches).toBe(4);
    await macrotask();
    clock.advance(300_000);
    await macrotask();
    expect(fetches()).toBe(4);
    expect([state(), asked.filter((one) => one === 'verify')]).toEqual(['Ready', ['verify']]);
    fails(2);
    for (const table of [by('other', 'r.io/copy:v1'), by('other', 'r.io/intent:v1', fakeDigest('d'))]) {
      classifiers.follow(table);
      await classifiers.settled();
      expect(ask(table, 'rain').doubt).toMatch(/REGISTRY_UNAVAILABLE/);
    }
  });

  it('keeps labels of sessions where only the source of its artifact changes, and not where its examples do', async () => {
    const { classifiers, ask } = start();
    const by = (oci: Record<string, unknown>, labels = weatherAndMusic): RoutingTable => {
      const of = { ...examples, source: { oci: { image: 'r.io/intent:v1', ...oci } }, labels };
      return tableOf(routeWith({ examples: of, cache: { by: 'Session' } }));
    };
    const said = async (table: RoutingTable, text: string) => {
      classifiers.follow(table);
      await classifiers.settled();
      return ask(table, text, { session: 's' }).label;
    };
    expect(await said(by({}), 'rain')).toBe('weather');
    expect(await said(by({ pullSecretRef: { name: 'login' } }), 'jazz')).toBe('weather');
    expect(await said(by({ image: 'r.io/copy:v1' }), 'jazz')).toBe('weather');
    expect(await said(by({}, weatherAndMusic.toReversed()), 'jazz')).toBe('music');
  });

  it('is forgotten with its route', async () => {
    const { classifiers, ask } = start();
    const table = tableOf(routeWith({ examples: { ...examples, labels: weatherAndMusic } }));
    classifiers.follow(table);
    await classifiers.settled();
    classifiers.follow(tableOf());
    expect(ask(table, 'rain').doubt).toBe('the route has no such classifier now');
  });
});

describe('any classifier', () => {
  const keywords = {
    labels: [
      { name: 'weather', terms: [{ text: 'rain' }] },
      { name: 'music', terms: [{ text: 'jazz' }] },
    ],
  };

  it('has nothing to say of a prompt without text, or without a word that it knows', () => {
    const { classifiers, ask } = start();
    const table = tableOf(routeWith({ keywords }));
    classifiers.follow(table);
    expect(ask(table, undefined).doubt).toBe('the prompt has no text');
    expect(ask(table, 'hello').doubt).toBe('nothing in the prompt speaks for a label');
    expect(ask(table, 'rain')).toMatchObject({ label: 'weather', score: 0.5, doubt: '' });
  });

  it('is uncertain below its thresholds, and says of which', () => {
    const { classifiers, ask } = start();
    const table = tableOf(routeWith({ keywords, minConfidence: 0.3, minMargin: 0.2 }));
    classifiers.follow(table);
    expect(ask(table, 'rain or jazz').doubt).toBe('the margin is below minMargin 0.2');
    const strict = tableOf(routeWith({ keywords, minConfidence: 0.51 }));
    classifiers.follow(strict);
    expect(ask(strict, 'rain').doubt).toBe('the score is below minConfidence 0.51');
  });

  it('keeps what it was certain of for the session of a caller, until that is idle or the classifier changes', () => {
    const { classifiers, clock, ask } = start();
    const table = tableOf(routeWith({ keywords, cache: { by: 'Session' } }));
    classifiers.follow(table);
    const who = { session: 's', user: 'u' };
    expect(ask(table, 'hello', who).label).toBe('');
    expect(ask(table, 'rain', who)).toMatchObject({ label: 'weather' });
    expect(ask(table, 'jazz', who)).toMatchObject({ label: 'weather', isRemembered: true });
    expect(ask(table, undefined, who)).toMatchObject({ label: 'weather', isRemembered: true });
    expect(ask(table, 'jazz', { ...who, user: 'v' }).label).toBe('music');
    expect(ask(table, 'jazz', { ...who, caller: 'team-a/key' }).label).toBe('music');
    expect(ask(table, 'jazz').label).toBe('music');
    clock.advance(31 * 60_000);
    expect(ask(table, 'jazz', who).label).toBe('music');
    const changed = tableOf(routeWith({ keywords, cache: { by: 'Session' }, minConfidence: 0.4 }));
    classifiers.follow(changed);
    expect(ask(changed, 'rain', who).label).toBe('weather');
  });

  it('forgets sessions that are too many, those first that were idle for longest', () => {
    const { classifiers, ask } = start();
    const table = tableOf(routeWith({ keywords, cache: { by: 'Session' } }));
    classifiers.follow(table);
    for (let i = 0; i < 10_001; i++) ask(table, 'rain', { session: `s${i}` });
    expect(ask(table, 'jazz', { session: 's0' }).label).toBe('music');
    expect(ask(table, 'jazz', { session: 's10000' }).label).toBe('weather');
  });

  it('forgets none of another namespace for one that makes sessions without end', () => {
    const { classifiers, ask } = start();
    const table = tableOf(routeWith({ keywords, cache: { by: 'Session' } }));
    classifiers.follow(table);
    const other = { namespace: 'team-b', session: 's' };
    ask(table, 'rain', other);
    for (let i = 0; i < 10_001; i++) ask(table, 'rain', { session: `s${i}` });
    expect(ask(table, 'jazz', other).label).toBe('weather');
  });
});
