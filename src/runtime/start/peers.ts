import type { Digest } from '../../api/names.ts';
import { namespaceOf } from '../../api/names.ts';
import { imageSource } from '../../artifact/claims.ts';
import { parseReference } from '../../artifact/reference.ts';
import type { Clock } from '../../time/clock.ts';
import { SitePeers } from '../peers/peers.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import type { Residency } from '../residency/manager.ts';
import type { RuntimeParts } from './parts.ts';

/**
 * This runtime among those of its site; undefined where it takes no part. The stack closes it.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const openPeers = async (
  { settings, logger }: RuntimeParts,
  clock: Clock,
  stack: AsyncDisposableStack,
): Promise<SitePeers | undefined> => {
  const { peersListen: listen, peersHost: host, operatorCa: authorities } = settings;
  if (listen === undefined || host === undefined || authorities === undefined) return undefined;
  const { peersBandwidth, downloadTimeZone: timeZone, runtimeNamespace, runtimeName } = settings;
  return stack.use(
    await SitePeers.listen({
      listen,
      host,
      self: `${runtimeNamespace}/${runtimeName}`,
      authorities,
      bandwidth: { ...peersBandwidth, timeZone },
      clock,
      log: logger,
    }),
  );
};

/** What this node has under a tag, by its plan: what its adapters of a namespace had there when they were resolved. */
export const taggedIn =
  (plan: Pick<PlanInForce, 'table'>, residency: Pick<Residency, 'resolved'>) =>
  (namespace: string, source: string, tag: string): Digest | undefined => {
    for (const [key, { body }] of plan.table.adapters) {
      if (namespaceOf(key) !== namespace || body.source.oci === undefined) continue;
      const image = parseReference(body.source.oci.image);
      if (image.tag === tag && imageSource(image) === source) return residency.resolved(key);
    }
    return undefined;
  };
