import type { AdapterObject, RolloutObject } from '../../../api/objects.ts';
import type { KubeMetadata } from '../../../kube/client/object.ts';
import type { Pod as InjectedPod } from '../../../operator/injection/pod.ts';
import type { WebhookConfiguration } from '../../../operator/injection/webhook-configuration.ts';
import type { RuntimeObject } from '../../../operator/objects/objects.ts';
import type { Right as Granted } from '../../../operator/rbac.ts';
import type { Asked } from '../finding.ts';
import type { Handshake } from '../handshake.ts';

/** The parts of Kubernetes' own objects that the checks read. */
type Metadata = { readonly metadata: KubeMetadata };
export type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
};

export type Crd = Metadata & {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly schema?: { readonly openAPIV3Schema?: unknown };
    }[];
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
};

export type Deployment = Metadata & {
  readonly spec: {
    readonly replicas?: number;
    readonly template: { readonly metadata?: Partial<KubeMetadata> };
  };
  readonly status?: { readonly readyReplicas?: number; readonly conditions?: readonly Condition[] };
};

export type DaemonSet = Metadata & {
  readonly status?: {
    readonly desiredNumberScheduled?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberUnavailable?: number;
  };
};

export type Lease = Metadata & {
  readonly spec: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string;
  };
};

export type EndpointSlice = Metadata & {
  readonly endpoints?:
    | readonly { readonly addresses: readonly string[]; readonly conditions?: { readonly ready?: boolean } }[]
    | null;
};

export type DisruptionBudget = Metadata & {
  readonly status?: { readonly disruptionsAllowed?: number; readonly expectedPods?: number };
};

type ContainerState = { readonly reason?: string; readonly message?: string; readonly exitCode?: number };
export type ContainerStatus = {
  readonly name: string;
  readonly restartCount?: number;
  readonly state?: { readonly waiting?: ContainerState; readonly terminated?: ContainerState };
  readonly lastState?: { readonly terminated?: ContainerState };
};
export type Pod = Metadata & {
  readonly spec: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly Condition[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
};

/** A pod of any namespace that asks for a sidecar. */
export type AskingPod = Metadata & Pick<InjectedPod, 'spec'> & Pick<Pod, 'status'>;

export type Namespace = Metadata & {
  readonly status?: { readonly phase?: string; readonly conditions?: readonly Condition[] };
};

export type ConfigMap = Metadata & { readonly data?: Readonly<Record<string, string>> };

/** A right in a namespace; undefined: in all of them. */
export type Right = Granted & { readonly namespace?: string };

/** Everything that the checks of a cluster look at. Undefined inside an answer: there is no such object. */
export type ClusterFacts = {
  /** Wall time in milliseconds. */
  readonly now: number;
  /** Of this program. */
  readonly version: string;
  /** Of the operator. */
  readonly namespace: string;
  readonly server: string;
  readonly apiServer: Asked<{ readonly gitVersion: string }>;
  readonly crds: Asked<readonly (Crd | undefined)[]>;
  /** Digests of the schemas of this version, by the name of the CRD. */
  readonly schemas: Readonly<Record<string, string>>;
  /** Those that are missing. */
  readonly yourMissing: Asked<readonly Right[]>;
  readonly operatorMissing: Asked<readonly Right[]>;
  readonly deployment: Asked<Deployment | undefined>;
  /** Namespaces where a Deployment of an operator is, where it is not in `namespace`. */
  readonly elsewhere: Asked<readonly string[]>;
  readonly lease: Asked<Lease | undefined>;
  readonly endpoints: Asked<readonly EndpointSlice[]>;
  readonly disruption: Asked<DisruptionBudget | undefined>;
  readonly bundle: Asked<ConfigMap | undefined>;
  /** Certificate that signs, in PEM, out of the Secret; only administrators may read it. */
  readonly signing: Asked<string | undefined>;
  readonly handshake: Asked<Handshake>;
  readonly runtimes: Asked<readonly RuntimeObject[]>;
  readonly adapters: Asked<readonly Stored<AdapterObject>[]>;
  readonly rollouts: Asked<readonly Stored<RolloutObject>[]>;
  readonly namespaces: Asked<readonly Namespace[]>;
  readonly daemonSets: Asked<readonly DaemonSet[]>;
  readonly pods: Asked<readonly Pod[]>;
  /** Undefined: sidecars are off. */
  readonly webhook: Asked<WebhookConfiguration | undefined>;
  readonly askingPods: Asked<readonly AskingPod[]>;
};

/** An object of ours with what Kubernetes says of it. `object` undefined: this version cannot read it. */
export type Stored<T> = { readonly metadata: KubeMetadata; readonly object: T | undefined };
