import type { AdapterReport, Hello, Report } from '../../../src/gen/adaptlet/control/v1/control.ts';
import type { Tapped } from './wiretap.ts';

/** What is said of each thing in a part of a stream, in order. Things are resources, adapters, rollouts, the runtime. */
export type Trace = Readonly<Record<string, readonly string[]>>;

/** An adapter on the way to where the plan wants it: how many of these a report catches is a matter of time. */
const underWay: ReadonlySet<string> = new Set(['Fetching', 'Stored', 'Compiled', 'Loaded', 'Draining']);

const text = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));

/** Without what an engine alone knows: bytes, ranks, names of modules, and the words of a failure. */
const adapterText = ({ uid, digest, state, reason, isFinal }: AdapterReport): string =>
  text({ uid, digest, state, reason, isFinal });

/** Without who it is and how often it was connected, and without how far a replica had seen each kind at a commit. */
export const helloText = (hello: Hello): string => {
  const { identity, instance: _, connectionSeq: __, revision: ___, ...rest } = hello;
  return text({ ...rest, identity: { namespace: identity?.namespace, kind: identity?.kind } });
};

/**
 * What was said, up to times: of several states that followed each other quickly only those count that last, and what was
 * said twice counts once. Of a resource and of a rollout the last counts: a plan that is replaced before the last commit
 * was answered is not sent.
 */
export const traceOf = (messages: readonly Tapped[]): Trace => {
  const trace = new Map<string, string[]>();
  const lastState = new Map<string, string>();
  const say = (thing: string, what: string): void => {
    const said = trace.get(thing) ?? [];
    trace.set(thing, said);
    if (said.at(-1) !== what) said.push(what);
  };
  const report = (told: Report): void => {
    for (const adapter of told.adapters) {
      const key = `adapter ${adapter.key}`;
      lastState.set(key, adapterText(adapter));
      if (!underWay.has(adapter.state)) say(key, adapterText(adapter));
    }
    for (const key of told.gone) {
      say(`adapter ${key}`, 'gone');
      lastState.delete(`adapter ${key}`);
    }
    for (const rollout of told.rollouts) lastState.set(`rollout ${rollout.key}`, text(rollout));
    for (const key of told.goneRollouts) {
      say(`rollout ${key}`, 'gone');
      lastState.delete(`rollout ${key}`);
    }
    if (told.ready !== undefined) say('runtime', text({ ready: told.ready, message: told.message }));
    if (told.removalsHeld !== undefined) say('removals held', text(told.removalsHeld));
    if (told.baseModel !== undefined) say('base model', text(told.baseModel));
  };
  for (const { message } of messages) {
    if (message.$case === 'hello') say('hello', helloText(message.value));
    if (message.$case === 'welcome') {
      const { reportsKept, ...welcome } = message.value;
      say('welcome', text({ ...welcome, isKept: reportsKept !== undefined }));
    }
    if (message.$case === 'heldWanted') say('held', 'wanted');
    if (message.$case === 'put')
      lastState.set(`resource ${message.value.key}`, `put ${message.value.version}`);
    if (message.$case === 'remove') lastState.set(`resource ${message.value}`, 'remove');
    if (message.$case === 'ack' && message.value.refused.length > 0)
      say('refused', text(message.value.refused));
    if (message.$case === 'report') report(message.value);
    if (message.$case === 'subscribe') say('subscribe', text(message.value));
    if (message.$case === 'unknown') say('unknown', text(message.value));
  }
  for (const [key, state] of lastState) say(key, state);
  return Object.fromEntries([...trace].toSorted(([a], [b]) => (a < b ? -1 : 1)));
};

/** Rollouts of which a canary was told to serve that was not told to be Resident, by then or at once. */
const servedTooEarly = (reports: readonly Report[]): string[] => {
  const adapters = new Map<string, AdapterReport>();
  return reports.flatMap(({ adapters: told, gone, rollouts }) => {
    for (const adapter of told) adapters.set(adapter.key, adapter);
    for (const key of gone) adapters.delete(key);
    const resident = new Set(
      [...adapters.values()].filter(({ state }) => state === 'Resident').map(({ digest }) => digest),
    );
    return rollouts
      .filter(({ effectiveWeight, canaryDigest }) => effectiveWeight > 0 && !resident.has(canaryDigest))
      .map(({ key }) => `rollout ${key} has a canary that is not Resident`);
  });
};

/** What is wrong with the order of a stream, whatever it says; empty: nothing. */
export const disorder = (messages: readonly Tapped[]): readonly string[] => {
  const wrong: string[] = [];
  const kinds = messages.map(({ from, message }) => `${from} ${message.$case}`);
  if (kinds[0] !== 'runtime hello') wrong.push(`it begins with ${kinds[0]}`);
  if (kinds.indexOf('operator welcome') !== 1)
    wrong.push(`the Welcome is not second: ${kinds.slice(0, 3).join()}`);
  const nonces = (kind: 'commit' | 'ack'): string[] =>
    messages.flatMap(({ message }) => (message.$case === kind ? [String(message.value.nonce)] : []));
  const [commits, acks] = [nonces('commit'), nonces('ack')];
  if (commits.some((nonce, index) => nonce !== String(index + 1)))
    wrong.push(`commits are ${commits.join()}`);
  if (acks.join() !== commits.join()) wrong.push(`commits ${commits.join()} were answered by ${acks.join()}`);
  const reports = messages.flatMap(({ message }) => (message.$case === 'report' ? [message.value] : []));
  if (reports.some(({ whole, resumes }, index) => (whole || resumes) !== (index === 0)))
    wrong.push('not just the first report is whole, or goes on');
  // What goes on has told of adapters on the stream before.
  if (reports[0]?.resumes !== true) wrong.push(...servedTooEarly(reports));
  return wrong;
};
