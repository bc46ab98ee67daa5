import { type ObjectKey, objectKey } from '../../../../api/names.ts';
import { AdaptletError } from '../../../../errors/adaptlet-error.ts';
import type { Adapter, AdminServer } from '../../../../gen/adaptlet/inference/v1/admin.ts';
import type { Admin, RolloutVerb } from '../../../admin/admin.ts';
import { type UnaryParts, unary } from '../call.ts';
import { explainedContext, explanationMessage } from './explain.ts';
import { adapterMessage, rolloutMessage, statusMessage } from './views.ts';

export type AdminParts = UnaryParts & { readonly admin: Admin; readonly defaultNamespace: string };

/** `adaptlet.inference.v1.Admin`: every verb of {@link Admin}. */
export const adminService = (parts: AdminParts): AdminServer => {
  const { admin } = parts;

  const keyOf = (what: string, name: string): ObjectKey => {
    const [first, second, ...more] = name.split('/');
    if (first === undefined || first === '' || second === '' || more.length > 0)
      throw new AdaptletError('REQUEST_INVALID', `${what} is "${name}", it must be namespace/name or name`);
    return second === undefined ? objectKey(parts.defaultNamespace, first) : objectKey(first, second);
  };

  const adapter = (key: ObjectKey): { adapter: Adapter | undefined } => {
    const view = admin.status().adapters.find((a) => a.key === key);
    return { adapter: view === undefined ? undefined : adapterMessage(view) };
  };

  const verb = (method: string, name: RolloutVerb) =>
    unary(parts, method, async ({ rollout }: { rollout: string }) => ({
      rollout: rolloutMessage(await admin.rollout(keyOf('rollout', rollout), name)),
    }));

  return {
    status: unary(parts, 'Admin/Status', () => statusMessage(admin.status())),
    list: unary(parts, 'Admin/List', ({ namespace }) => ({
      adapters: admin
        .status()
        .adapters.filter(({ key }) => namespace === '' || key.startsWith(`${namespace}/`))
        .map(adapterMessage),
    })),
    preload: unary(parts, 'Admin/Preload', async (request, signal) => {
      const key = keyOf('adapter', request.adapter);
      await admin.preload(key, signal);
      return adapter(key);
    }),
    pin: unary(parts, 'Admin/Pin', async (request) => {
      const key = keyOf('adapter', request.adapter);
      await admin.pin(key, request.pinned);
      return adapter(key);
    }),
    evict: unary(parts, 'Admin/Evict', async (request, signal) => {
      const key = keyOf('adapter', request.adapter);
      await admin.evict(key, signal);
      return adapter(key);
    }),
    rollback: verb('Admin/Rollback', 'rollback'),
    promote: unary(parts, 'Admin/Promote', async ({ rollout, full }) => ({
      rollout: rolloutMessage(
        await admin.rollout(keyOf('rollout', rollout), full ? 'promote-full' : 'promote'),
      ),
    })),
    abort: verb('Admin/Abort', 'abort'),
    retry: verb('Admin/Retry', 'retry'),
    trustCluster: unary(parts, 'Admin/TrustCluster', async () => {
      await admin.trustCluster();
      return {};
    }),
    confirmRemovals: unary(parts, 'Admin/ConfirmRemovals', async () => ({
      removed: await admin.confirmRemovals(),
    })),
    explain: unary(parts, 'Admin/Explain', async (request, signal) =>
      explanationMessage(await admin.explain(explainedContext(request, parts.defaultNamespace), signal)),
    ),
  };
};
