import { type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../plan/resources.ts';
import type { RolloutVerb } from '../admin/admin.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import type { Residency } from '../residency/manager.ts';
import { partsOf, type RoutingTable } from '../routing/table.ts';
import type { Holds } from '../serving/guard/holds.ts';

export type BreakGlassParts = {
  readonly table: () => RoutingTable;
  /** The stable that is to come, while another one serves in its place. */
  readonly awaited: PlanInForce['awaited'];
  readonly holds: Pick<Holds, 'hold' | 'ofRollout' | 'release' | 'saved'>;
  readonly residency: Pick<Residency, 'state' | 'retry' | 'whyNot'>;
};

const byHand = 'rolled back by hand on this node';

/** States in which an adapter needs no download. */
const here: ReadonlySet<string> = new Set(['Stored', 'Compiled', 'Loaded', 'Resident', 'Draining']);

const refused = (key: ObjectKey, why: string): AdaptletError =>
  new AdaptletError('VERB_REFUSED', `rollout ${key}: ${why}`);

/**
 * What a person may do to a rollout on a node that follows an operator: take it back, and give it free again. It is in
 * force at once and reported; the operator decides about the others. Resolves once a restart would remember it.
 * @throws MODEL_NOT_FOUND; VERB_REFUSED
 */
export const breakGlass = async (
  parts: BreakGlassParts,
  key: ObjectKey,
  verb: RolloutVerb,
): Promise<void> => {
  const split = parts.table().splits.get(key);
  if (split === undefined) throw new AdaptletError('MODEL_NOT_FOUND', `there is no AdapterRollout ${key}`);
  if (verb === 'rollback') await rollBack(parts, split);
  else if (verb === 'retry') retry(parts, split);
  else {
    const [words, flag] = verb === 'promote-full' ? ['promote', ' --full'] : [verb, ''];
    const command = `kubectl adaptlet ${words} ${partsOf(key)[1]}${flag} -n ${partsOf(key)[0]}`;
    throw refused(key, `an operator decides about it: use \`${command}\``);
  }
  await parts.holds.saved();
};

const rollBack = async (
  { holds, residency, awaited, table }: BreakGlassParts,
  { name, body }: SplitResource,
): Promise<void> => {
  const { uid, stable, canary, former } = body;
  if (stable !== undefined && awaited(name) !== undefined) {
    // It serves in place of a stable that is not here yet: who asks waits for that one.
    holds.hold(uid, stable.digest, 'BreakGlass', byHand, { arm: 'stable' });
    return;
  }
  if (canary !== undefined) {
    holds.hold(uid, canary.digest, 'BreakGlass', byHand);
    return;
  }
  if (stable === undefined) throw refused(name, 'nothing serves it yet');
  const isBack = holds
    .ofRollout(uid)
    .some(({ digest, cause }) => digest === stable.digest && cause === 'BreakGlass');
  if (isBack) throw refused(name, goneBackAlready(name, body));
  if (former === undefined) throw refused(name, `there is no stable adapter before ${stable.adapter}`);
  const [namespace] = partsOf(name);
  const key = objectKey(namespace, former.adapter);
  const state = residency.state(key)?.kind;
  // What would have to be downloaded first helps nobody who breaks the glass.
  if (state === undefined || !here.has(state)) {
    throw refused(name, `${former.adapter}, the one before, is ${state ?? 'not'} here`);
  }
  const why = await residency.whyNot(key);
  if (why !== undefined) throw refused(name, `${former.adapter}, the one before, would not serve: ${why}`);
  const now = table().splits.get(name)?.body;
  if (now?.uid !== uid || now.stable?.digest !== stable.digest || now.canary !== undefined)
    throw refused(name, 'the operator decided something else meanwhile; look, and ask again');
  holds.hold(uid, stable.digest, 'BreakGlass', byHand, { arm: 'stable' });
};

/** A node knows one version before stable: what to do for an older one. */
const goneBackAlready = (key: ObjectKey, { stable, former }: SplitResource['body']): string => {
  const [namespace, name] = partsOf(key);
  const now = former === undefined ? 'nothing before it is here' : `${former.adapter} serves`;
  return (
    `${stable?.adapter} was rolled back on this node, and ${now}; a node goes back by one version. ` +
    `To an older one: \`kubectl adaptlet undo ${name} -n ${namespace} --to ADAPTER\`, for all nodes. ` +
    'Without an operator, send requests by the name of an older Adapter that `adaptlet status` shows'
  );
};

const retry = ({ holds, residency, awaited }: BreakGlassParts, { name, body }: SplitResource): void => {
  const [namespace] = partsOf(name);
  const failed = [body.canary, body.stable, awaited(name)]
    .flatMap((bound) => (bound === undefined ? [] : [objectKey(namespace, bound.adapter)]))
    .filter((adapter) => residency.state(adapter)?.kind === 'Failed');
  if (failed.length === 0 && holds.ofRollout(body.uid).length === 0) {
    throw refused(name, 'nothing of it is held back or failed on this node');
  }
  holds.release(body.uid);
  for (const adapter of failed) residency.retry(adapter);
};
