import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../../support/process.ts';
import { type About, kindOf, kinds, type Place } from './probe.ts';

/** Runs probes, each as a test. Gives the ids of those that began, as they begin. */
export const runsProbes = <S>(
  probes: readonly (About & { readonly run: (stage: S) => Promise<void> })[],
  stage: () => S,
): readonly string[] => {
  const begun: string[] = [];
  for (const kind of kinds) {
    const own = probes.filter(({ id }) => kindOf(id) === kind);
    if (own.length === 0) continue;
    describe(`${kind}: a tenant`, () => {
      it.each(own)(
        '$tries ($id)',
        async ({ id, run }) => {
          begun.push(id);
          await run(stage());
        },
        120_000,
      );
    });
  }
  return begun;
};

/** The ids that docs/reference/tenancy.md has for a place. */
const idsOnPage = (place: Place): string[] => {
  const page = readFileSync(join(repositoryRoot, 'docs/reference/tenancy.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z]+\/[a-z-]+)` \|.*\| ([a-z, ]+) \|$/gm)];
  return rows.filter(([, , places = '']) => places.split(', ').includes(place)).map(([, id = '']) => id);
};

/** The page says of a place what was tried there: nothing is missing, and no id is there twice. */
export const agreesWithPage = (place: Place, ...begun: readonly (readonly string[])[]): void => {
  it('was tried what docs/reference/tenancy.md says, each thing once', () => {
    const ids = idsOnPage(place);
    expect(new Set(ids).size).toBe(ids.length);
    expect(begun.flat().sort()).toEqual(ids.sort());
  });
};
