import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { digestOf } from './digest.ts';
import { mediaTypes } from './manifest.ts';
import { parseReference } from './reference.ts';
import {
  emptyConfigType,
  type ReferrerLimits,
  referrerLimits,
  referrersOf,
  referrersTag,
} from './referrers.ts';
import { Registry } from './registry.ts';
import { registryOptions } from './registry-options.fixture.ts';

const never = new AbortController().signal;
const subject = digestOf(Buffer.from('subject'));
const artifactType = 'application/vnd.test.note';
const image = parseReference('r.test/a/b:v1');

const entry = (name: string, more: object = {}) => ({
  mediaType: mediaTypes.manifest,
  artifactType,
  digest: digestOf(Buffer.from(name)),
  size: 7,
  ...more,
});
const index = (...manifests: readonly unknown[]) =>
  JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });

/** A registry that answers by path and query; all else is 404. Gives what was asked. */
const registryOf = (answers: Readonly<Record<string, string | (() => Response)>>) => {
  const asked: string[] = [];
  const registry = new Registry({
    fetch: async (input) => {
      const { pathname, search } = new URL(new Request(input).url);
      const path = `${pathname.replace('/v2/a/b/', '')}${search}`;
      asked.push(path);
      const answer = answers[path] ?? answers[path.replace(/\?.*/, '')];
      if (answer === undefined) return new Response(null, { status: 404 });
      return typeof answer === 'string' ? new Response(answer) : answer();
    },
    ...registryOptions,
  });
  const list = (limits: Partial<ReferrerLimits> = {}) =>
    referrersOf(registry, image, { subject, artifactType }, never, { ...referrerLimits, ...limits });
  return { list, asked };
};
const paged = (body: string, link: string) => () => new Response(body, { headers: { link } });
const byApi = `referrers/${subject}`;
const byTag = `manifests/${referrersTag(subject)}`;

describe('referrers of a manifest', () => {
  it('are those of the wanted type, with their annotations', async () => {
    const annotations = { 'test/from': 'x' };
    const { list, asked } = registryOf({
      [byApi]: index(entry('one', { annotations }), entry('two', { artifactType: 'other' })),
    });
    expect(await list()).toEqual({ referrers: [entry('one', { annotations })], isCut: false });
    expect(asked).toEqual([`${byApi}?artifactType=application%2Fvnd.test.note`]);
  });

  it('are those under the fallback tag where there is no API', async () => {
    const { list, asked } = registryOf({ [byTag]: index(entry('one')) });
    expect((await list()).referrers).toEqual([entry('one')]);
    expect(asked.at(-1)).toBe(byTag);
  });

  it('are none where there is neither', async () => {
    expect(await registryOf({}).list()).toEqual({ referrers: [], isCut: false });
  });

  it('are not looked for under the tag where the API says that there are none', async () => {
    const { list, asked } = registryOf({ [byApi]: index(), [byTag]: index(entry('one')) });
    expect((await list()).referrers).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  it('may be of an unknown type, and never another kind of thing', async () => {
    const { list } = registryOf({
      [byApi]: index(
        entry('one', { artifactType: emptyConfigType }),
        entry('two', { artifactType: undefined }),
        entry('three', { mediaType: mediaTypes.index }),
        entry('four', { digest: 'sha512:ab' }),
        entry('five', { size: -1 }),
        entry('odd', { digest: { length: { toString: null } } }),
        'six',
      ),
    });
    expect((await list()).referrers).toEqual([entry('one', { artifactType: emptyConfigType })]);
  });
});

describe('pages of referrers', () => {
  it('are read to the end, of the same list only', async () => {
    const { list, asked } = registryOf({
      [`${byApi}?artifactType=application%2Fvnd.test.note`]: paged(
        index(entry('one')),
        `<https://elsewhere.test/v2/other/manifests/x?last=1>; rel="next"`,
      ),
      [`${byApi}?last=1`]: index(entry('two')),
    });
    expect(await list()).toEqual({ referrers: [entry('one'), entry('two')], isCut: false });
    expect(asked).toHaveLength(2);
  });

  it('without end are read as far as the limit, and that is said', async () => {
    const { list, asked } = registryOf({
      [byApi]: paged(index(entry('one')), `</v2/a/b/${byApi}?n=1>; rel="next"`),
    });
    const { referrers, isCut } = await list({ maxPages: 5 });
    expect([referrers.length, isCut, asked.length]).toEqual([5, true, 5]);
  });

  it('with many entries are cut, and no further one is asked for', async () => {
    const many = Array.from({ length: 50 }, (_, i) => entry(`number ${i}`));
    const { list, asked } = registryOf({
      [byApi]: paged(index(...many), `</v2/a/b/${byApi}?n=1>; rel="next"`),
    });
    const { referrers, isCut } = await list({ maxEntries: 20 });
    expect([referrers.length, isCut, asked.length]).toEqual([20, true, 1]);
  });

  it('of more bytes than the limit are refused', async () => {
    const { list } = registryOf({ [byApi]: index(entry('one')) });
    expect(await codeOf(() => list({ maxBytes: 100 }))).toBe('ARTIFACT_TOO_LARGE');
  });

  it.each(['<html>', '[]', '{"manifests":3}'])('that are no index are refused: %s', async (body) => {
    expect(await codeOf(() => registryOf({ [byApi]: body }).list())).toBe('ARTIFACT_MANIFEST_INVALID');
  });
});
