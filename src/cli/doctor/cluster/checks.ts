import type { clusterFindings } from '../catalogue.ts';
import type { Finding } from '../finding.ts';
import { apiServer, crds, operatorRights, yourRights } from './api-checks.ts';
import { authority, serving } from './certificate-checks.ts';
import type { ClusterFacts } from './facts.ts';
import { adapters, deletions, rollouts } from './object-checks.ts';
import { disruption, leader, replicas, service } from './operator-checks.ts';
import { pods, runtimeRollout } from './pod-checks.ts';
import { baseModel, budgets, connected, executionProvider, ready } from './runtime-checks.ts';
import { sidecars, webhook } from './sidecar-checks.ts';
import { versions } from './version-checks.ts';

type Check = (facts: ClusterFacts) => readonly Finding[];

/** One check for each finding, in their order. */
const checks: Readonly<Record<keyof typeof clusterFindings, Check>> = {
  'api-server': apiServer,
  crds,
  'your-rights': yourRights,
  'operator-rights': operatorRights,
  'operator-replicas': replicas,
  'operator-leader': leader,
  'operator-service': service,
  'operator-disruption': disruption,
  versions,
  authority,
  'serving-certificate': serving,
  'runtimes-connected': connected,
  'runtimes-ready': ready,
  'base-model': baseModel,
  'execution-provider': executionProvider,
  budgets,
  adapters,
  rollouts,
  deletions,
  'runtime-rollout': runtimeRollout,
  pods,
  'sidecar-webhook': webhook,
  sidecars,
};

/** What there is to say of a cluster. Where the API server does not answer, that is all. */
export const checkCluster = (facts: ClusterFacts): readonly Finding[] =>
  'error' in facts.apiServer ? apiServer(facts) : Object.values(checks).flatMap((check) => check(facts));
