import { type Document, LineCounter, type ParsedNode, parseAllDocuments, type YAMLError } from 'yaml';
import type { Path } from './problems.ts';
import { flowDepthExceeds, maxDepth, readTree, tooDeep } from './yaml-tree.ts';

/** Largest file that is read, in bytes. */
export const maxManifestBytes = 1024 * 1024;

/** One document: its value as JSON would have it, and where things are written. Lines count from 1. */
export type YamlDocument = {
  readonly value: unknown;
  readonly line: number;
  /** Line of a field, or of the nearest thing around it that is written. */
  readonly lineOf: (path: Path) => number;
};
export type YamlProblem = { readonly line: number; readonly reason: string };
type Documents = { readonly documents: readonly YamlDocument[]; readonly problems: readonly YamlProblem[] };

const refused = (reason: string): Documents => ({ documents: [], problems: [{ line: 1, reason }] });

/** Splits a text into its YAML 1.2 documents; empty ones are left out. Never throws. */
export const readDocuments = (text: string): Documents => {
  if (text.length > maxManifestBytes || Buffer.byteLength(text) > maxManifestBytes) {
    return refused('the file is larger than 1 MiB: split it');
  }
  if (flowDepthExceeds(text, maxDepth)) return refused(tooDeep);
  const lines = new LineCounter();
  try {
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      stringKeys: true,
    });
    return collect([...parsed], lines);
  } catch (error) {
    return refused(`is not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
};

const collect = (parsed: readonly Document.Parsed[], lines: LineCounter): Documents => {
  const documents: YamlDocument[] = [];
  const problems: YamlProblem[] = [];
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  for (const document of parsed) {
    const [error] = [...document.errors, ...document.warnings];
    if (error !== undefined) {
      // What follows a syntax error is mostly its echo: one message per document.
      problems.push({ line: lineAt(error.pos[0]), reason: syntaxReason(error) });
      continue;
    }
    if (document.contents === null || isBlank(document.contents)) continue;
    const tree = readTree(document.contents);
    if ('reason' in tree) problems.push({ line: lineAt(tree.offset), reason: tree.reason });
    else {
      const line = lineAt(document.contents.range[0]);
      documents.push({ value: tree.value, line, lineOf: (path) => lineAt(tree.offsetOf(path)) });
    }
  }
  return { documents, problems };
};

/** `---` with nothing but comments after it is a scalar without text. */
const isBlank = (node: ParsedNode): boolean => 'source' in node && node.source === '';

const reasonOf: Partial<Record<YAMLError['code'], string>> = {
  TAB_AS_INDENT: 'a tab is used as indentation: YAML wants spaces',
  NON_STRING_KEY: 'a name of a field must be a plain text',
  RESOURCE_EXHAUSTION: tooDeep,
  BLOCK_AS_IMPLICIT_KEY: 'a value has ": " in it, or a line is indented wrong: put the value in quotes',
};

const syntaxReason = (error: YAMLError): string =>
  reasonOf[error.code] ?? `is not YAML: ${error.message.split('\n')[0]?.slice(0, 200)}`;
