import type { KubeApi } from '../../kube/client/api.ts';
import { patchMerge, updateStatus } from '../../kube/client/apply.ts';
import { apiVersionOf, type KubeObject, type ResourceType } from '../../kube/client/object.ts';
import type { EventRecorder } from '../../kube/events/events.ts';
import {
  adapterType,
  policyType,
  rolloutType,
  routeType,
  runtimeType,
  secretType,
} from '../objects/resource-types.ts';
import type { ObservedKind, Recorder, StatusWriter, Version } from './controller.ts';

/** Owner of what the operator writes, in managedFields. */
const fieldManager = 'adaptlet-operator';

const types: Readonly<Record<ObservedKind, ResourceType>> = {
  Adapter: adapterType,
  AdapterRollout: rolloutType,
  AdapterRoute: routeType,
  AdapterPolicy: policyType,
  AdapterRuntime: runtimeType,
  Secret: secretType,
};

const objectOf = ({
  kind,
  namespace,
  name,
  uid,
  resourceVersion,
  metadata,
}: Version<ObservedKind>): KubeObject => ({
  apiVersion: apiVersionOf(types[kind]),
  kind,
  metadata: { ...metadata, namespace, name, uid, resourceVersion },
});

const isOther = (of: Version, { metadata }: KubeObject): boolean =>
  metadata.resourceVersion !== of.resourceVersion;

/** The writes of controllers over the API server. */
export const createStatusWriter = (api: KubeApi): StatusWriter => ({
  replaceStatus: async (of, status, signal) => {
    const options = { fieldManager, signal };
    return isOther(of, await updateStatus(api, types[of.kind], { ...objectOf(of), status }, options));
  },
  mergeStatus: async (of, status, signal) => {
    const options = { fieldManager, signal, subresource: 'status' as const };
    return isOther(of, await patchMerge(api, types[of.kind], objectOf(of), { status }, options));
  },
  setFinalizers: async (of, finalizers, signal) => {
    const options = { fieldManager, signal };
    return isOther(
      of,
      await patchMerge(api, types[of.kind], objectOf(of), { metadata: { finalizers } }, options),
    );
  },
});

export const createRecorder = (events: EventRecorder): Recorder => ({
  record: ({ regarding, ...event }) => events.record({ ...event, regarding: objectOf(regarding) }),
});
