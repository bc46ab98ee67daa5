import { z } from 'zod';
import { adapterSpecSchema } from '../../api/adapter.ts';
import { adapterStatusSchema } from '../../api/adapter-status.ts';
import { analysisSpecSchema } from '../../api/analysis.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type {
  AdapterObject,
  AnalysisObject,
  Meta,
  PolicyObject,
  RolloutObject,
  RouteObject,
} from '../../api/objects.ts';
import { parsedBy } from '../../api/parsed.ts';
import { policySpecSchema } from '../../api/policy.ts';
import { type FieldProblem, fieldProblems } from '../../api/problems.ts';
import { rolloutSpecSchema } from '../../api/rollout.ts';
import { rolloutStatusSchema } from '../../api/rollout-status.ts';
import { routeSpecSchema } from '../../api/route.ts';
import { routeStatusSchema } from '../../api/route-status.ts';
import { runtimeSpecSchema, runtimeStatusSchema } from '../../api/runtime.ts';
import type { KubeMetadata, KubeObject } from '../../kube/client/object.ts';
import { withoutInvalid } from './invalid-analyses.ts';
import type { Read, RuntimeObject } from './objects.ts';

const metaOf = (metadata: KubeMetadata): Meta => ({
  namespace: metadata.namespace ?? '',
  name: metadata.name,
  uid: metadata.uid,
  generation: metadata.generation ?? 1,
  creationTimestamp: metadata.creationTimestamp,
  annotations: metadata.annotations ?? {},
  labels: metadata.labels ?? {},
});

type UserKind = (AdapterObject | RolloutObject | RouteObject | PolicyObject)['kind'];

/** Reads what the API server let through; what it cannot check (patterns) and what a newer CRD allows is found here. */
const reader =
  <S, T>(kind: UserKind, specSchema: z.ZodType<S>, statusSchema: z.ZodType<T>) =>
  (raw: KubeObject): Read<{ kind: UserKind; metadata: Meta; spec: S; status?: T }> => {
    const { metadata } = raw;
    const base = { key: keyOf(metadata), resourceVersion: metadata.resourceVersion, metadata };
    const spec = parsedBy(specSchema, raw.spec);
    const status = isAbsent(raw.status) ? undefined : parseStatus(statusSchema, raw.status);
    const problems: FieldProblem[] = [
      ...(spec.success ? [] : fieldProblems(kind, raw, underField('spec', spec.error.issues))),
      ...(status?.success === false
        ? fieldProblems(kind, raw, underField('status', status.error.issues))
        : []),
    ];
    if (!spec.success || status?.success === false) return { ...base, problems };
    const object = { kind, metadata: metaOf(metadata), spec: spec.data };
    return { ...base, object: status === undefined ? object : { ...object, status: status.data }, problems };
  };

const keyOf = ({ namespace, name }: KubeMetadata): ObjectKey => objectKey(namespace ?? '', name);

/** A status that nobody has written yet. */
const isAbsent = (status: unknown): boolean =>
  status === undefined || status === null || (typeof status === 'object' && Object.keys(status).length === 0);

/** A later operator may have written fields that this one does not know: they are left out, and the rest is read. */
const parseStatus = <T>(schema: z.ZodType<T>, status: unknown): z.ZodSafeParseResult<T> => {
  const parsed = parsedBy(schema, status);
  if (parsed.success) return parsed;
  const known = structuredClone(status);
  for (const issue of parsed.error.issues) {
    if (issue.code === 'unrecognized_keys') for (const key of issue.keys) remove(known, [...issue.path, key]);
  }
  return parsedBy(schema, known);
};

/** Takes the member at `path` out of a JSON value. */
const remove = (value: unknown, [key, ...below]: readonly PropertyKey[]): void => {
  if (typeof value !== 'object' || value === null || key === undefined) return;
  if (below.length === 0) Reflect.deleteProperty(value, key);
  else remove(Reflect.get(value, key), below);
};

const underField = (field: string, issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] =>
  issues.map((issue) => ({ ...issue, path: [field, ...issue.path] }));

export const readAdapter = reader('Adapter', adapterSpecSchema, adapterStatusSchema) as (
  raw: KubeObject,
) => Read<AdapterObject>;
const readWholeRollout = reader('AdapterRollout', rolloutSpecSchema, rolloutStatusSchema) as (
  raw: KubeObject,
) => Read<RolloutObject>;

/**
 * The API server does not look into the analyses of a rollout. One whose analyses alone are not valid is read all the
 * same: a canary that is under way must not get out of hand for a mistake in what it is judged by.
 */
export const readRollout = (raw: KubeObject): Read<RolloutObject> => {
  const read = readWholeRollout(raw);
  const rest = read.object === undefined ? withoutInvalid(raw.spec, read.problems) : undefined;
  if (rest === undefined) return read;
  const { object } = readWholeRollout({ ...raw, spec: rest.spec });
  return object === undefined ? read : { ...read, object: { ...object, invalidAnalyses: rest.why } };
};
export const readRoute = reader('AdapterRoute', routeSpecSchema, routeStatusSchema) as (
  raw: KubeObject,
) => Read<RouteObject>;

export const readAnalysis = ({ metadata, spec: given }: KubeObject): Read<AnalysisObject> => {
  const kind = 'AdapterAnalysis' as const;
  const base = { key: keyOf(metadata), resourceVersion: metadata.resourceVersion, metadata };
  const spec = parsedBy(analysisSpecSchema, given ?? {});
  return spec.success
    ? { ...base, object: { kind, metadata: metaOf(metadata), spec: spec.data }, problems: [] }
    : { ...base, problems: fieldProblems(kind, { spec: given }, underField('spec', spec.error.issues)) };
};

/** A policy has no status: whatever is there says nothing. */
export const readPolicy = reader('AdapterPolicy', policySpecSchema, z.unknown()) as (
  raw: KubeObject,
) => Read<PolicyObject>;

/** Only we write an AdapterRuntime's status: one that cannot be read is written anew. */
export const readRuntime = ({ metadata, spec, status }: KubeObject): Read<RuntimeObject> => {
  const parsed = parseStatus(runtimeStatusSchema, status);
  // The API server has seen to it; a later CRD may have more.
  const asked = parsedBy(runtimeSpecSchema.strip(), spec ?? {});
  const object = {
    kind: 'AdapterRuntime' as const,
    metadata: metaOf(metadata),
    spec: asked.success ? asked.data : {},
  };
  return {
    key: keyOf(metadata),
    resourceVersion: metadata.resourceVersion,
    metadata,
    object: parsed.success ? { ...object, status: parsed.data } : object,
    problems: [],
  };
};
