import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { admits, grammarOf, ofSchema, written } from '../../src/runtime/engine/structure/compiled.fixture.ts';
import type { Grammar } from '../../src/runtime/engine/structure/grammar.ts';

const folder = join(import.meta.dirname, '../fixtures/json-schema-test-suite/draft2020-12');

type Group = {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly {
    readonly description: string;
    readonly data: unknown;
    readonly valid: boolean;
  }[];
};

const groups = readdirSync(folder).flatMap((file) =>
  (JSON.parse(readFileSync(join(folder, file), 'utf8')) as Group[]).map((group) => ({ file, ...group })),
);

const open = async (schema: unknown): Promise<Grammar | AdaptletError> => {
  try {
    return await grammarOf(ofSchema(schema));
  } catch (error) {
    if (error instanceof AdaptletError) return error;
    throw error;
  }
};

/** Answers that are written at random by the masks of a schema. */
const answersOf = 10;

/** What ajv says of a schema; undefined where it cannot say anything: formats only describe, as in the suite. */
const judgeOf = (schema: unknown): ((value: unknown) => boolean) | undefined => {
  try {
    return new Ajv2020({ strict: false, validateFormats: false, ownProperties: true }).compile(
      schema as object,
    );
  } catch {
    return undefined;
  }
};

describe('the mandatory part of the JSON Schema Test Suite, draft 2020-12', () => {
  it('no schema that is taken lets an answer come that is not valid', { timeout: 600_000 }, async () => {
    const count = { schemas: 0, accepted: 0, refused: 0, right: 0, narrow: 0, answers: 0 };
    const wrong: string[] = [];
    const codes = new Set<string>();
    for (const { file, description, schema, tests } of groups) {
      const grammar = await open(schema);
      count.schemas += 1;
      if (grammar instanceof AdaptletError) {
        count.refused += 1;
        codes.add(grammar.code);
        if (process.env['ADAPTLET_SUITE'] !== undefined)
          console.log(`${file}: ${description}: ${grammar.code}: ${grammar.what}`);
        continue;
      }
      count.accepted += 1;
      for (const { description: what, data, valid } of tests) {
        const isAdmitted = admits(grammar, JSON.stringify(data));
        if (isAdmitted && !valid) wrong.push(`${file}: ${description}: ${what}`);
        else if (valid && !isAdmitted) count.narrow += 1;
        else count.right += 1;
      }
      const judge = judgeOf(schema);
      const random = seededRandom(count.schemas);
      for (let answer = 0; judge !== undefined && answer < answersOf; answer += 1) {
        const text = written(grammar, random);
        // A number of more digits is rounded before ajv looks at it.
        if (text === undefined || /\d{16}/.test(text)) continue;
        count.answers += 1;
        if (!judge(JSON.parse(text))) wrong.push(`${file}: ${description}: wrote ${text}`);
      }
    }
    console.log(count);
    expect(wrong).toEqual([]);
    expect([...codes]).toEqual(['STRUCTURE_UNSUPPORTED']);
    // docs/how-to/structured-output.md has these.
    expect(count).toMatchObject({ schemas: 383, accepted: 151, refused: 232, right: 536, narrow: 13 });
    expect(count.answers).toBeGreaterThan(1000);
  });
});
