import { describe, expect, it } from 'vitest';
import { type LabelOf, silent } from './labelled.ts';
import { compileMatches } from './match.ts';
import { context, rule } from './plan.fixture.ts';
import { promptTextOf, withPrompt } from './prompt-text.ts';
import type { RequestContext } from './request.ts';

const noLabels: LabelOf = (name) => silent(name, 'none');
const matcher = (match: Record<string, unknown>, ...others: Record<string, unknown>[]) =>
  compileMatches(rule({ name: 'r', matches: [match, ...others], targets: [{ base: true }] }).matches);
const matches = (match: Record<string, unknown>, ...others: Record<string, unknown>[]) => {
  const { test } = matcher(match, ...others);
  return (request: RequestContext) => test(request, noLabels);
};
const says = (text: string, who: Parameters<typeof context>[1] = {}) =>
  withPrompt(context('m', who), promptTextOf([{ kind: 'text', text }]));
const header = (type: string, value: string) => matches({ headers: [{ name: 'x-department', type, value }] });
const sends = (value: string) => context('m', { headers: { 'x-department': value } });

describe('the matches of a rule', () => {
  it('take every request when there are none', () => {
    expect(compileMatches([]).test(context('m'), noLabels)).toBe(true);
  });

  it('compare a header exactly, by prefix, or by a pattern that covers the whole value', () => {
    expect(header('Exact', 'medical')(sends('medical'))).toBe(true);
    expect(header('Exact', 'medical')(sends('Medical'))).toBe(false);
    expect(header('Prefix', 'med')(sends('medical'))).toBe(true);
    expect(header('Prefix', 'med')(sends('amed'))).toBe(false);
    expect(header('Regex', 'med(ical)?')(sends('med'))).toBe(true);
    expect(header('Regex', 'med')(sends('medical'))).toBe(false);
  });

  it('need the header to be there', () => {
    expect(header('Regex', '.*')(context('m'))).toBe(false);
    expect(header('Prefix', 'a')(context('m', { headers: { 'x-other': 'a' } }))).toBe(false);
  });

  it('match in time linear in the value, whatever the pattern, of which there are at most 2048 characters', () => {
    expect(header('Regex', '(a+)+b')(sends('a'.repeat(2048)))).toBe(false);
    expect(header('Regex', 'a+')(sends('a'.repeat(2048)))).toBe(true);
    expect(header('Regex', 'a+')(sends('a'.repeat(2049)))).toBe('unknown');
    const excluded = { headers: [{ name: 'x-department', type: 'Regex', value: 'b+' }] } as const;
    expect(matches({ not: [excluded] })(sends('a'.repeat(2048)))).toBe(true);
    expect(matches({ not: [excluded] })(sends('a'.repeat(2049)))).toBe('unknown');
    expect(header('Prefix', 'a')(sends('a'.repeat(2049)))).toBe(true);
  });

  it('compare the user by list or prefix and the tenant by list; an absent one does not match', () => {
    expect(matches({ user: { in: ['u1', 'u2'] } })(context('m', { user: 'u2' }))).toBe(true);
    expect(matches({ user: { in: ['u1', 'u2'] } })(context('m', { user: 'u3' }))).toBe(false);
    expect(matches({ user: { prefix: 'beta-' } })(context('m', { user: 'beta-7' }))).toBe(true);
    expect(matches({ user: { prefix: 'beta-' } })(context('m'))).toBe(false);
    expect(matches({ tenant: { in: ['acme'] } })(context('m', { tenant: 'acme' }))).toBe(true);
    expect(matches({ tenant: { in: ['acme'] } })(context('m', { user: 'acme' }))).toBe(false);
  });

  it('hold altogether within one match, and are alternatives of each other', () => {
    const both = {
      headers: [
        { name: 'x-a', value: '1' },
        { name: 'x-b', value: '2' },
      ],
      user: { in: ['u1'] },
    };
    const test = matches(both, { tenant: { in: ['acme'] } });
    expect(test(context('m', { user: 'u1', headers: { 'x-a': '1', 'x-b': '2' } }))).toBe(true);
    expect(test(context('m', { user: 'u1', headers: { 'x-a': '1' } }))).toBe(false);
    expect(test(context('m', { tenant: 'acme' }))).toBe(true);
  });
});

describe('the prompt', () => {
  it('is searched for a pattern; what is not found in all of it is not there', () => {
    const test = matches({ promptRegex: '(?i)\\binvoices?\\b' });
    expect(test(says('Where is my INVOICE?'))).toBe(true);
    expect(test(says('Where is my voice?'))).toBe(false);
    expect(test(says(''))).toBe(false);
  });

  it('is unknown where it is longer than what is looked at, or has no text; then no negation holds either', () => {
    const long = says(`${'x'.repeat(1_000_000)} invoice`);
    const ids = context('m');
    for (const request of [long, ids]) {
      expect(matches({ promptRegex: 'invoice' })(request)).toBe('unknown');
      expect(matches({ not: [{ promptRegex: 'invoice' }] })(request)).toBe('unknown');
    }
    expect(matches({ promptRegex: '^x' })(long)).toBe(true);
    expect(matches({ not: [{ promptRegex: '^x' }] })(long)).toBe(false);
  });

  it.each(['^[a-z ]*$', 'x\\z', '(?m)x$', 'x\\b', '^(?:yes|x+$)', '\\Qyes\\E|x$'])(
    'does not end where it is cut: of a longer one %s is unknown',
    (pattern) => {
      const test = matches({ promptRegex: pattern });
      expect(test(says('x'.repeat(2048)))).toBe(true);
      for (const more of ['x', '! and now something else'])
        expect(test(says('x'.repeat(2048) + more))).toBe('unknown');
      expect(matches({ not: [{ promptRegex: pattern }] })(says('x'.repeat(2049)))).toBe('unknown');
    },
  );

  it.each(['x.*', 'x\\b y', '(?m)^x$', '\\Qx y', 'a|x', '(?i)X'])(
    'is matched by %s however it goes on',
    (pattern) => {
      expect(matches({ promptRegex: pattern })(says(`x y\nx\n${'z'.repeat(5000)}`))).toBe(true);
    },
  );

  it('of a conversation is the last message of the user', () => {
    const messages = [
      { role: 'system', content: 'invoice' },
      { role: 'user', content: 'invoice' },
      { role: 'user', content: 'weather' },
      { role: 'assistant', content: 'invoice' },
    ];
    const asked = withPrompt(context('m'), promptTextOf([{ kind: 'chat', messages }]));
    expect(matches({ promptRegex: 'invoice' })(asked)).toBe(false);
    expect(matches({ promptRegex: 'weather' })(asked)).toBe(true);
  });

  it('of several is none: they go the same way, and none of them speaks for the others', () => {
    const texts = ['weather', 'weather'].map((text) => ({ kind: 'text', text }) as const);
    expect(promptTextOf(texts.slice(0, 1))).toMatchObject({ text: 'weather' });
    expect(promptTextOf(texts)).toBeUndefined();
  });

  it.each(['(a+)+b', '(a|a)*b', '(a?){200}b', '(.*)(.*)(.*)(.*)x', '((a*)*)*b'])(
    'takes %s in bounded time, however long it is',
    (pattern) => {
      expect(matches({ promptRegex: pattern })(says('a'.repeat(1_000_000)))).toBe('unknown');
    },
  );

  it('may have any characters, halves of pairs as well', () => {
    const odd = says('\ud83d\u0000\u202e\ud83d\ude00 naïve 東京');
    expect(matches({ promptRegex: '東京$' })(odd)).toBe(true);
    expect(matches({ promptRegex: '\\x{1F600}' })(odd)).toBe(true);
  });
});

describe('conditions with names of their own', () => {
  it.each([
    ['locale', 'x-adaptlet-locale'],
    ['deviceType', 'x-adaptlet-device-type'],
    ['location', 'x-adaptlet-location'],
    ['task', 'x-adaptlet-task'],
  ])('%s reads %s, without regard to case, with what follows a hyphen', (name, key) => {
    const test = matches({ [name]: { in: ['de', 'FR-ca'] } });
    const sent = (value: string) => test(context('m', { headers: { [key]: value } }));
    expect([sent('de'), sent('DE-AT'), sent('fr-CA-x'), sent('fr'), sent('den'), sent('')]).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(test(context('m'))).toBe(false);
  });

  it('a locale is the first language of accept-language where its header is missing', () => {
    const test = matches({ locale: { in: ['fr'] } });
    const accepts = { 'accept-language': 'fr-CH, fr;q=0.9, en;q=0.8' };
    expect(test(context('m', { headers: accepts }))).toBe(true);
    expect(test(context('m', { headers: { ...accepts, 'x-adaptlet-locale': 'en' } }))).toBe(false);
  });

  it('a hint is compared character by character', () => {
    const test = matches({ adapterHint: { in: ['medical-v2'] } });
    const hinting = (name: string) => context('m', { headers: { 'x-adaptlet-adapter-hint': name } });
    expect([test(hinting('medical-v2')), test(hinting('Medical-v2')), test(context('m'))]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('what is negated', () => {
  it('does not hold: a match needs all of its own, and none of `not`', () => {
    const test = matches({
      tenant: { in: ['acme'] },
      not: [{ user: { in: ['u1'] }, headers: [{ name: 'x-a', value: '1' }] }, { user: { in: ['u9'] } }],
    });
    const of = (user: string, headers = {}) => test(context('m', { tenant: 'acme', user, headers }));
    expect(of('u1')).toBe(true);
    expect(of('u1', { 'x-a': '1' })).toBe(false);
    expect(of('u9')).toBe(false);
    expect(test(context('m', { user: 'u2' }))).toBe(false);
  });

  it('a header that is missing does not match, so its negation does', () => {
    expect(matches({ not: [{ headers: [{ name: 'x-a', value: '1' }] }] })(context('m'))).toBe(true);
  });
});

describe('a classifier', () => {
  const labelOf =
    (label: string, doubt = ''): LabelOf =>
    (name) => ({ ...silent(name, doubt), label });

  it('holds for its labels; while it is uncertain neither it nor its negation does', () => {
    const intent = { classifier: { name: 'intent', labels: ['medical', 'health'] } };
    const request = says('x');
    const [plain, negation] = [matcher(intent).test, matcher({ not: [intent] }).test];
    expect([plain(request, labelOf('medical')), negation(request, labelOf('medical'))]).toEqual([
      true,
      false,
    ]);
    expect([plain(request, labelOf('other')), negation(request, labelOf('other'))]).toEqual([false, true]);
    expect([plain(request, labelOf('medical', 'why')), negation(request, labelOf('medical', 'why'))]).toEqual(
      ['unknown', 'unknown'],
    );
  });

  it('is asked last, and not where the rest of its match does not hold', () => {
    const { test } = matcher({ classifier: { name: 'intent', labels: ['a'] }, user: { in: ['u1'] } });
    const asked: string[] = [];
    const noting: LabelOf = (name) => {
      asked.push(name);
      return silent(name, 'none');
    };
    test(says('x', { user: 'u2' }), noting);
    expect(asked).toEqual([]);
    test(says('x', { user: 'u1' }), noting);
    expect(asked).toEqual(['intent']);
  });
});
