import { refusalOfSource } from '../api/allowed-source.ts';
import type { Manifest, ParsedManifest } from '../api/objects.ts';
import { type FieldProblem, pathText } from '../api/problems.ts';
import { keyOf } from '../api/references.ts';
import type { Target } from '../api/route.ts';
import type { ErrorCode } from '../errors/catalogue.ts';

type Any = Manifest | ParsedManifest;
type Of<K extends Any['kind']> = Extract<Any, { kind: K }>;

/** A field that asks for what a policy does not allow. */
export type PolicyFinding = FieldProblem & { readonly code: ErrorCode };

/** What of an object the policy of its namespace does not allow. Pure. */
export const policyFindings = (object: Any, policy: Of<'AdapterPolicy'>): PolicyFinding[] => {
  switch (object.kind) {
    case 'Adapter':
      return ofSource(object.spec.source, ['spec', 'source'], policy);
    case 'AdapterRollout':
      return object.spec.fallbackToBase ? ofBase(['spec', 'fallbackToBase'], policy) : [];
    case 'AdapterRoute':
      return object.spec.rules.flatMap(({ targets = [], perUser, fallback }, index) => {
        const at = ['spec', 'rules', index];
        return [
          ...(perUser === undefined ? [] : ofSource(perUser.source, [...at, 'perUser', 'source'], policy)),
          ...ofTargets(targets, [...at, 'targets'], policy),
          ...ofTargets(fallback, [...at, 'fallback'], policy),
        ];
      });
    case 'AdapterPolicy':
      return [];
  }
};

type Path = FieldProblem['path'];

const ofSource = (
  source: Of<'Adapter'>['spec']['source'],
  path: Path,
  policy: Of<'AdapterPolicy'>,
): PolicyFinding[] => {
  const why = refusalOfSource(policy.spec.sources, source, keyOf(policy));
  return why === undefined ? [] : [{ path, code: 'SOURCE_NOT_ALLOWED', reason: `${pathText(path)}: ${why}` }];
};

const ofTargets = (targets: readonly Target[], path: Path, policy: Of<'AdapterPolicy'>): PolicyFinding[] =>
  targets.flatMap(({ base }, index) => (base === true ? ofBase([...path, index], policy) : []));

const ofBase = (path: Path, policy: Of<'AdapterPolicy'>): PolicyFinding[] =>
  policy.spec.base === 'Allow'
    ? []
    : [
        {
          path,
          code: 'BASE_NOT_ALLOWED',
          reason: `${pathText(path)}: the policy ${keyOf(policy)} does not let the base model answer (spec.base: Deny)`,
        },
      ];
