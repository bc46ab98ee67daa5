import type { Digest } from './names.ts';
import { matching, notMatching, type Requirement } from './text.ts';

const label = '[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?';
const port = ':[0-9]{1,5}';
/** A first component is a registry only when it cannot be a folder: it has a dot, a port, or is localhost. */
const registry = `(localhost(${port})?|${label}(\\.${label})+(${port})?|${label}${port}|\\[[0-9a-fA-F:]+\\](${port})?)`;
const tagRest = '[A-Za-z0-9._-]{0,127}';
const separator = '(\\.|_|__|-+)';

const reference = (component: string, tag: string): RegExp =>
  new RegExp(`^${registry}(/${component}(${separator}${component})*)+(:${tag})?(@sha256:[0-9a-f]{64})?$`);

/**
 * `registry/repository[:tag][@digest]`, as the distribution project defines references
 * (https://github.com/distribution/reference), except that the registry is never left out.
 */
const imagePattern = reference('[a-z0-9]+', `[A-Za-z0-9_]${tagRest}`);

const imageTemplatePattern = reference(
  '([a-z0-9]|\\{user\\})+',
  `([A-Za-z0-9_]|\\{user\\})([A-Za-z0-9._-]|\\{user\\})*`,
);

const tail = /^[^@]*?(?::([^/@:]+))?(?:@(sha256:[0-9a-f]{64}))?$/;

/** Tag and digest of a checked image reference. */
export const imageVersion = (
  image: string,
): { readonly tag: string | undefined; readonly digest: Digest | undefined } => {
  const [, tag, digest] = tail.exec(image) ?? [];
  return { tag, digest: digest as Digest | undefined };
};

/** Registry and repository of a checked image reference, or of a template of one, without tag and digest. */
export const imageRepository = (image: string): string => {
  const [named = ''] = image.split('@');
  const tagAt = named.indexOf(':', named.lastIndexOf('/'));
  return tagAt < 0 ? named : named.slice(0, tagAt);
};

const example = 'registry.example/team-a/sql:v2';

const hostAndCase: readonly Requirement[] = [
  notMatching(/^[a-z]+:\/\//, `must not start with a scheme: write ${example}`),
  matching(/^(localhost|[^/]*[.:\]][^/]*)\//, `must start with the host of the registry: write ${example}`),
  notMatching(/^[^/]*\/[^:@]*[A-Z]/, `must have a repository in lower case: write ${example}`),
];
const advice = `must be an image reference, registry/repository:tag or registry/repository@sha256:…, for example ${example}`;

/** What an image reference must be. */
export const imageForm: readonly Requirement[] = [...hostAndCase, matching(imagePattern, advice)];

/** The same with `{user}` wherever a part of the repository or of the tag may stand. */
export const imageTemplateForm: readonly Requirement[] = [
  ...hostAndCase,
  matching(imageTemplatePattern, advice),
];

const prefixPattern = new RegExp(`^${registry}(/[a-z0-9]+(${separator}[a-z0-9]+)*)*$`);

/** What a registry, or the beginning of its repositories, must be. */
export const repositoryPrefixForm: readonly Requirement[] = [
  notMatching(/^[a-z]+:\/\//, 'must not start with a scheme: write registry.example/team-a'),
  matching(
    prefixPattern,
    'must be the host of a registry, alone or with the beginning of repositories, without a tag: for example registry.example/team-a',
  ),
];
