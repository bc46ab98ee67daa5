import { createHash } from 'node:crypto';
import { type Classifier, exampleAdapterOf } from '../../api/classifier.ts';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { Source } from '../../api/source.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { Requirement } from '../../signature/requirement.ts';
import { absent, type Labelled, silent } from '../routing/labelled.ts';
import type { RequestContext } from '../routing/request.ts';
import {
  partsOf,
  type RouteEntry,
  type RoutingTable,
  signatureOf,
  sourceRefusalOf,
} from '../routing/table.ts';
import { readClassifier } from './artifact-file.ts';
import { decide } from './decide.ts';
import { type EncoderHead, type EncoderHeads, whyNot } from './encoder-heads.ts';
import { compileExamples, type LabelExamples } from './examples.ts';
import { compileKeywords } from './keywords.ts';
import type { Scorer, SlowScorer, Turn } from './scorer.ts';
import { SessionLabels } from './session-labels.ts';
import { SlowAnswers } from './slow-answers.ts';
import type { StaticTable } from './static-table.ts';
import {
  type Lack,
  type StoredTable,
  Tables,
  type TablesParts,
  type TableWish,
  whyLacking,
} from './tables.ts';

export type ClassifiersParts = Omit<TablesParts<StaticTable>, 'changed' | 'read' | 'dropped'> & {
  /** Of the encoder of this node. Absent: it has none. */
  readonly heads?:
    | Pick<
        EncoderHeads,
        'open' | 'drop' | 'scorerOf' | 'onLost' | 'onState' | 'trouble' | 'isClosed' | 'answers'
      >
    | undefined;
  /** `states` may say something else now. */
  readonly changed?: () => void;
};

/** How far a classifier is that needs an artifact. */
export type ClassifierState = {
  readonly name: string;
  /** Of the artifact. */
  readonly digest: Digest;
  /** Failed is tried again by itself. */
  readonly state: 'Pending' | 'Ready' | 'Failed';
  /** Why it is not Ready, for people. */
  readonly message: string;
};

/** A classifier of a route in force. */
type Compiled = {
  readonly classifier: Classifier;
  /** Equal marks: the same classifier with the same examples. */
  readonly mark: string;
  readonly scorer: Scorer | SlowScorer | Lack;
};

/** What a classifier says, and the session that may keep it. */
type Asked = { readonly labelled: Labelled; readonly session?: string | undefined };

type Wanted = { readonly kind: 'Table' | 'Head'; readonly wish: TableWish } | Lack;

/**
 * The classifiers of all routes of the plan in force.
 *
 * Guarantees: asking one waits for nothing, what takes time is noted for `awaited`; one that has no artifact yet, or cannot be
 * used, is uncertain and says why; no text of a prompt is kept for longer than its request.
 */
export class Classifiers {
  readonly #tables: Tables<StaticTable>;
  /** Undefined: there is no encoder. */
  readonly #heads: Tables<EncoderHead> | undefined;
  readonly #host: ClassifiersParts['heads'];
  readonly #slow = new SlowAnswers();
  readonly #sessions: SessionLabels;
  readonly #changed: () => void;
  /** By route, then by name. */
  #compiled: ReadonlyMap<ObjectKey, ReadonlyMap<string, Compiled>> = new Map();
  #table: RoutingTable | undefined;

  constructor({ heads, changed: told = () => undefined, ...parts }: ClassifiersParts) {
    const { artifacts, clock } = parts;
    this.#changed = told;
    const changed = (): void => {
      if (this.#table !== undefined) this.#compile(this.#table);
    };
    const read = async ({ digest }: StoredTable, signal: AbortSignal): Promise<StaticTable> => {
      await artifacts.verify(digest, signal);
      return await readClassifier(artifacts.folder(digest));
    };
    this.#sessions = new SessionLabels(clock);
    this.#tables = new Tables({ ...parts, read, changed });
    this.#host = heads;
    this.#heads =
      heads &&
      new Tables({
        ...parts,
        read: (stored, signal) => heads.open(stored, signal),
        dropped: (head) => heads.drop(head),
        changed,
      });
    heads?.onLost((head, cause) => this.#heads?.lost(head, cause));
    heads?.onState(told);
  }

  /** Another plan is in force. */
  follow(table: RoutingTable): void {
    this.#table = table;
    const wanted = [...classifiersIn(table)].flatMap(
      ({ route, classifier }) => wantedBy(table, route, classifier) ?? [],
    );
    const ofKind = (kind: 'Table' | 'Head'): readonly TableWish[] =>
      wanted.flatMap((one) => ('wish' in one && one.kind === kind ? [one.wish] : []));
    this.#tables.follow(ofKind('Table'));
    this.#heads?.follow(ofKind('Head'));
    this.#compile(table);
  }

  /** Each artifact came, or was tried in vain once. */
  async settled(): Promise<void> {
    await Promise.all([this.#tables.settled(), this.#heads?.settled()]);
  }

  /** Tries again at once what failed with that code. */
  retryFailed(code: ErrorCode): void {
    this.#tables.retryFailed(code);
    this.#heads?.retryFailed(code);
  }

  /** Those that need an artifact, by route. */
  readonly states = (): ReadonlyMap<ObjectKey, readonly ClassifierState[]> => {
    const states = new Map<ObjectKey, readonly ClassifierState[]>();
    for (const [route, compiled] of this.#compiled) {
      const told = [...compiled.values()].flatMap((one) => this.#stateOf(one) ?? []);
      if (told.length > 0) states.set(route, told);
    }
    return states;
  };

  /** Questions to the encoder by what became of them, and how many classifiers are in each state. */
  totals(): Readonly<Record<'answers' | 'states', Readonly<Record<string, number>>>> {
    const states: Record<ClassifierState['state'], number> = { Pending: 0, Ready: 0, Failed: 0 };
    for (const { state } of [...this.states().values()].flat()) states[state] += 1;
    return { answers: this.#host?.answers ?? {}, states };
  }

  close(): void {
    this.#tables.close();
    this.#heads?.close();
  }

  /** What a classifier of a route says of the prompt of a request. A session keeps what was certain. */
  readonly classify = (route: RouteEntry, name: string, context: RequestContext): Labelled => {
    const { labelled, session } = this.#asked(route, name, context);
    if (session !== undefined && labelled.doubt === '')
      this.#sessions.set(context.namespace, session, labelled);
    return labelled;
  };

  /** The same of a request that is only looked at: nothing is kept of it. */
  readonly consider = (route: RouteEntry, name: string, context: RequestContext): Labelled =>
    this.#asked(route, name, context).labelled;

  /** What routing of a request lacks is asked for; undefined: nothing. @throws the reason of the signal */
  readonly awaited = (context: RequestContext, signal: AbortSignal): Promise<void> | undefined =>
    this.#slow.awaited(context, signal);

  #asked(route: RouteEntry, name: string, context: RequestContext): Asked {
    const found = this.#compiled.get(route.key)?.get(name);
    if (found === undefined) return { labelled: absent(name, 'the route has no such classifier now') };
    const { classifier, scorer, mark } = found;
    const session = classifier.cache === undefined ? undefined : sessionOf(route, found, context);
    const remembered = session === undefined ? undefined : this.#sessions.get(context.namespace, session);
    if (remembered !== undefined) return { labelled: { ...remembered, isRemembered: true } };
    if ('reason' in scorer) return { labelled: absent(name, scorer.reason) };
    if (context.prompt === undefined) return { labelled: silent(name, 'the prompt has no text') };
    const { text } = context.prompt;
    if (!('ask' in scorer))
      return { labelled: decide(classifier, scorer.score(text, classifier.maxTokens)), session };
    const ask = (signal: AbortSignal): Promise<Labelled> =>
      askSlow(classifier, scorer, { text, turn: turnOf(context), signal });
    // Of another version of the classifier an answer counts for nothing.
    const answer = this.#slow.get(context, { id: `${route.key} ${name} ${mark}`, ask });
    return { labelled: answer ?? silent(name, 'it was not asked'), session };
  }

  #compile(table: RoutingTable): void {
    const before = this.#compiled;
    const compiled = new Map<ObjectKey, Map<string, Compiled>>();
    for (const { route, classifier } of classifiersIn(table)) {
      const ofRoute = compiled.get(route.key) ?? new Map<string, Compiled>();
      const made = this.#compileOne(table, route, classifier, before.get(route.key)?.get(classifier.name));
      ofRoute.set(classifier.name, made);
      compiled.set(route.key, ofRoute);
    }
    this.#compiled = compiled;
    this.#changed();
  }

  #stateOf({ classifier, scorer }: Compiled): ClassifierState | undefined {
    const { name, examples, onnx } = classifier;
    const digest = (onnx ?? examples)?.digest;
    if (digest === undefined) return undefined;
    const host = onnx === undefined ? undefined : this.#host;
    const message = 'reason' in scorer ? scorer.reason : host?.trouble;
    if (message !== undefined) {
      const isComing = (!('reason' in scorer) || scorer.isPending === true) && host?.isClosed !== true;
      return { name, digest, state: isComing ? 'Pending' : 'Failed', message };
    }
    return { name, digest, state: 'Ready', message: '' };
  }

  #compileOne(
    table: RoutingTable,
    route: RouteEntry,
    classifier: Classifier,
    before: Compiled | undefined,
  ): Compiled {
    const { keywords, examples, onnx, maxTokens } = classifier;
    if (keywords !== undefined) {
      const mark = markOf(classifier);
      return before?.mark === mark
        ? before
        : { classifier, mark, scorer: scorerOf(() => compileKeywords(keywords)) };
    }
    const wanted = wantedBy(table, route, classifier);
    if (wanted !== undefined && onnx !== undefined) return this.#compileHead(classifier, wanted, before);
    if (wanted === undefined || examples === undefined)
      return { classifier, mark: '', scorer: { reason: 'this node does not know its kind' } };
    const state = 'reason' in wanted ? wanted : this.#tables.state(wanted.wish);
    if ('reason' in state) return { classifier, mark: '', scorer: state };
    const labels = examples.labels?.map((label) => examplesOf(table, route, label));
    const mark = markOf(classifier, labels);
    if (before?.mark === mark) return before;
    return { classifier, mark, scorer: scorerOf(() => compileExamples(state.table, labels, maxTokens)) };
  }

  #compileHead(classifier: Classifier, wanted: Wanted, before: Compiled | undefined): Compiled {
    const without = (scorer: Lack): Compiled => ({ classifier, mark: '', scorer });
    const host = this.#host;
    if (this.#heads === undefined || host === undefined)
      return without({ reason: 'there is no encoder for classifiers here (--classifier-model)' });
    if ('reason' in wanted) return without(wanted);
    const state = this.#heads.state(wanted.wish);
    if ('reason' in state)
      return without({
        ...(state.isPending === undefined ? {} : { isPending: state.isPending }),
        // While the encoder cannot open it, it is on its way.
        get reason() {
          return host.trouble ?? state.reason;
        },
      });
    const mark = markOf(classifier, state.table.name);
    return before?.mark === mark ? before : { classifier, mark, scorer: host.scorerOf(state.table) };
  }
}

const askSlow = async (
  classifier: Classifier,
  scorer: SlowScorer,
  { text, ...how }: { readonly text: string; readonly turn: Turn; readonly signal: AbortSignal },
): Promise<Labelled> => {
  const { name, maxTokens } = classifier;
  try {
    return decide(classifier, await scorer.ask(text, { maxTokens, ...how }));
  } catch (error) {
    if (how.signal.aborted) throw how.signal.reason;
    return absent(name, `its encoder gave no answer: ${whyNot(error)}`);
  }
};

const turnOf = ({ namespace, tenant = '', priority }: RequestContext): Turn => ({
  namespace,
  tenant,
  ...(priority === undefined ? {} : { priority }),
});

/** Classifiers of routes that are in force. */
function* classifiersIn({
  routes,
}: RoutingTable): Generator<{ readonly route: RouteEntry; readonly classifier: Classifier }> {
  for (const route of routes.values()) {
    if (!route.accepted) continue;
    for (const classifier of route.resource.body.classifiers ?? []) yield { route, classifier };
  }
}

/** Short: sessions carry it. Where an artifact comes from changes no classifier: its digest says what it is. */
const markOf = ({ examples, onnx, ...classifier }: Classifier, of?: unknown): string => {
  const artifacts = [examples, onnx].map((one) => one && { ...one, source: undefined });
  const value = JSON.stringify([classifier, artifacts, of]);
  return createHash('sha256').update(value).digest('base64url').slice(0, 22);
};

const scorerOf = (make: () => Scorer): Compiled['scorer'] => {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) return { reason: error.message };
    throw error;
  }
};

/** The artifact that a classifier needs; undefined: none. */
const wantedBy = (table: RoutingTable, route: RouteEntry, classifier: Classifier): Wanted | undefined => {
  const { examples, onnx } = classifier;
  const artifact = onnx ?? examples;
  if (artifact === undefined) return undefined;
  const { source: given, digest } = artifact;
  const [namespace] = partsOf(route.key);
  const source: Source = {
    ...(given.oci === undefined ? {} : { oci: given.oci }),
    ...(given.path === undefined ? {} : { path: given.path }),
  };
  const refusal = sourceRefusalOf(table, namespace, source);
  if (refusal !== undefined) return { reason: `SOURCE_NOT_ALLOWED: ${refusal}` };
  let requirement: Requirement | undefined;
  try {
    requirement = signatureOf(table, namespace, {});
  } catch (error) {
    if (error instanceof AdaptletError) return { reason: whyLacking(error) };
    throw error;
  }
  const { uid } = route.resource.body;
  const key = `${route.key}/${classifier.name}` as ObjectKey;
  return {
    kind: onnx === undefined ? 'Table' : 'Head',
    wish: { key, uid, source, digest, requirement },
  };
};

type Label = NonNullable<NonNullable<Classifier['examples']>['labels']>[number];

const examplesOf = (table: RoutingTable, route: RouteEntry, label: Label): LabelExamples => {
  const { name, texts = [] } = label;
  const adapter = exampleAdapterOf(label);
  const [namespace] = partsOf(route.key);
  const resource = adapter === undefined ? undefined : table.adapters.get(objectKey(namespace, adapter));
  const prompts = resource?.body.validation.smokeTests.map(({ prompt }) => prompt) ?? [];
  return { name, texts: [...texts, ...prompts] };
};

/** Sessions of two callers are not the same, nor are those of two versions of a classifier. Undefined: no session. */
const sessionOf = (
  { resource }: RouteEntry,
  { mark, classifier }: Compiled,
  { namespace, caller, tenant, user, session }: RequestContext,
): string | undefined =>
  session === undefined
    ? undefined
    : JSON.stringify([resource.body.uid, classifier.name, mark, namespace, caller, tenant, user, session]);
