import { isKind, kinds } from './kinds.ts';
import { apiVersion } from './names.ts';
import { nearest } from './nearest.ts';
import type { ParsedManifest, ParsedMeta } from './objects.ts';
import { parsedBy } from './parsed.ts';
import { fieldProblems, type Path } from './problems.ts';
import { readDocuments, type YamlDocument } from './yaml-documents.ts';

/** `line` counts from 1; `reason` is for people. */
export type ManifestProblem = { readonly file: string; readonly line: number; readonly reason: string };

export type ManifestDocument = {
  /** Line where the object starts, from 1. */
  readonly line: number;
  readonly manifest: ParsedManifest;
  /** Line of a field, or of the nearest field around it that is written. */
  readonly lineOf: (path: Path) => number;
};

export type ParsedManifests = {
  readonly documents: readonly ManifestDocument[];
  readonly problems: readonly ManifestProblem[];
};

type Finding = { readonly line: number; readonly reason: string };
type Checked = { readonly document: ManifestDocument } | { readonly findings: readonly Finding[] };

/**
 * Reads the manifests of one YAML (or JSON) file: any number of documents, unknown fields refused.
 *
 * Guarantees: never throws, whatever the text; time and memory are bounded by the size limit. Good documents of a file
 * with problems are returned as well: what to do with them is up to the caller.
 */
export const parseManifests = (
  text: string,
  file: string,
  { defaultNamespace }: { readonly defaultNamespace: string },
): ParsedManifests => {
  const documents: ManifestDocument[] = [];
  const problems: ManifestProblem[] = [];
  const seen = new Map<string, number>();
  const read = readDocuments(text);
  for (const finding of read.problems) problems.push({ file, ...finding });
  for (const yaml of read.documents) {
    const checked = checkDocument(yaml, defaultNamespace);
    if ('findings' in checked) {
      for (const { line, reason } of checked.findings) problems.push({ file, line, reason });
      continue;
    }
    const { line, manifest } = checked.document;
    const identity = `${manifest.kind} ${manifest.metadata.namespace}/${manifest.metadata.name}`;
    const first = seen.get(identity);
    if (first === undefined) {
      seen.set(identity, line);
      documents.push(checked.document);
    } else
      problems.push({
        file,
        line,
        reason: `${identity} is in this file already, at line ${first}: remove one of the two`,
      });
  }
  return {
    documents,
    problems: cut(
      problems.toSorted((a, b) => a.line - b.line),
      file,
    ),
  };
};

const maxProblems = 100;

const cut = (problems: readonly ManifestProblem[], file: string): readonly ManifestProblem[] => {
  const next = problems[maxProblems];
  if (next === undefined) return problems;
  const reason = `and ${problems.length - maxProblems} more problems from here on`;
  return [...problems.slice(0, maxProblems), { file, line: next.line, reason }];
};

const checkDocument = (yaml: YamlDocument, defaultNamespace: string): Checked => {
  const { value, line, lineOf } = yaml;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { findings: [{ line, reason: 'must be an object with apiVersion, kind, metadata and spec' }] };
  }
  const head = value as { readonly apiVersion?: unknown; readonly kind?: unknown };
  const headProblem = apiVersionProblem(head.apiVersion, head.kind) ?? kindProblem(head.kind);
  if (headProblem !== undefined) {
    return { findings: [{ line: lineOf([headProblem.field]), reason: headProblem.reason }] };
  }
  const kind = String(head.kind);
  if (!isKind(kind)) throw new Error(`kindProblem let ${kind} through`);
  const result = parsedBy(kinds[kind], value);
  if (!result.success) {
    const found = fieldProblems(kind, value, result.error.issues);
    return { findings: found.map(({ path, reason }) => ({ line: lineOf(path), reason })) };
  }
  const { metadata, spec } = result.data;
  const parsedMeta: ParsedMeta = { ...metadata, namespace: metadata.namespace ?? defaultNamespace };
  // `kind` chose the schema that made `spec`: the pair is right, which a union of pairs cannot say.
  return { document: { line, lineOf, manifest: { kind, metadata: parsedMeta, spec } as ParsedManifest } };
};

const shownAs = (value: unknown): string => (JSON.stringify(value) ?? 'null').slice(0, 80);

type HeadProblem = { readonly field: string; readonly reason: string };

const apiVersionProblem = (version: unknown, kind: unknown): HeadProblem | undefined => {
  if (version === apiVersion) return undefined;
  const field = 'apiVersion';
  if (version === undefined)
    return { field, reason: `apiVersion is required: write apiVersion: ${apiVersion}` };
  const shown = shownAs(version);
  const isOurs = typeof kind === 'string' && isKind(kind);
  const other = typeof version === 'string' && !version.startsWith('adaptlet.io/') && !isOurs;
  return {
    field,
    reason: other
      ? `apiVersion ${shown} is not Adaptlet's: only objects of ${apiVersion} belong in this file`
      : `apiVersion ${shown} is not known: write ${apiVersion}`,
  };
};

const kindProblem = (kind: unknown): HeadProblem | undefined => {
  const field = 'kind';
  const names = Object.keys(kinds);
  if (kind === undefined) return { field, reason: `kind is required: one of ${names.join(', ')}` };
  if (typeof kind === 'string' && isKind(kind)) return undefined;
  if (kind === 'AdapterRuntime') {
    return { field, reason: 'an AdapterRuntime is written by Adaptlet, not by a file: remove it' };
  }
  const [hint] = typeof kind === 'string' ? nearest(kind, names) : [];
  const shown = shownAs(kind);
  return {
    field,
    reason: `kind ${shown} is not known: ${hint === undefined ? `one of ${names.join(', ')}` : `did you mean ${hint}`}`,
  };
};
