import { describe, expect, it } from 'vitest';
import { type Classifier, classifierSchema } from '../../api/classifier.ts';
import type { RouteResource } from '../../plan/resources.ts';
import { chooseRule } from './choose-rule.ts';
import { type Labelled, silent } from './labelled.ts';
import { context, planOf, routeOf, rule } from './plan.fixture.ts';
import { route } from './route.ts';
import { buildTable, type RouteEntry } from './table.ts';

const intent = (onUncertain: 'NoMatch' | 'Refuse'): Classifier =>
  classifierSchema.parse({
    name: 'intent',
    keywords: { labels: ['medical', 'legal'].map((name) => ({ name, terms: [{ text: name }] })) },
    minConfidence: 0.5,
    onUncertain,
  });

const asks = (...labels: string[]) => ({ classifier: { name: 'intent', labels } });
const to = (name: string, ...matches: unknown[]) => rule({ name, matches, targets: [{ base: true }] });

const routeWith = (onUncertain: 'NoMatch' | 'Refuse', ...rules: ReturnType<typeof to>[]): RouteResource => {
  const resource = routeOf('team-a/r', 'm', rules);
  return { ...resource, body: { ...resource.body, classifiers: [intent(onUncertain)] } };
};
const entryOf = (resource: RouteResource): RouteEntry =>
  buildTable(planOf(resource), { name: 'tiny' }).routes.get(resource.name) ?? expect.fail('no route');

const saying = (label: string, doubt = '') => {
  const asked: string[] = [];
  const classify = (_: RouteEntry, classifier: string): Labelled => {
    asked.push(classifier);
    return { ...silent(classifier, doubt), label, score: 0.4, margin: 0.1 };
  };
  return { asked, classify };
};

const rules = [to('medical', asks('medical')), to('legal', asks('legal')), to('everyone')];

describe('the rule that takes a request', () => {
  it('is the first that holds, and each classifier is asked once', () => {
    const { asked, classify } = saying('legal');
    const choice = chooseRule(entryOf(routeWith('NoMatch', ...rules)), context('m'), { classify });
    expect([choice.rule?.name, choice.labels.map(({ label }) => label), asked]).toEqual([
      'legal',
      ['legal'],
      ['intent'],
    ]);
  });

  it('asks no classifier that an earlier rule makes needless', () => {
    const { asked, classify } = saying('legal');
    const entry = entryOf(routeWith('Refuse', to('vip', { user: { in: ['u1'] } }), ...rules));
    expect(chooseRule(entry, context('m', { user: 'u1' }), { classify }).rule?.name).toBe('vip');
    expect(asked).toEqual([]);
  });

  it('is a later one where an uncertain classifier matches nothing, and the answer says so', () => {
    const { classify } = saying('medical', 'too low');
    const table = buildTable(planOf(routeWith('NoMatch', ...rules)), { name: 'tiny' });
    const facts = { serves: () => true, isHeld: () => false, classify };
    expect(route(table, context('m'), facts, 'r').candidates).toEqual([
      { kind: 'base', rule: 'everyone', classified: 'intent=medical;score=0.400;margin=0.100;uncertain' },
    ]);
  });

  it('is none where an uncertain classifier refuses: no later rule gets the request', () => {
    const { classify } = saying('medical', 'too low');
    const entry = entryOf(routeWith('Refuse', ...rules));
    const choice = chooseRule(entry, context('m'), { classify });
    expect([choice.rule, choice.refusal]).toEqual([
      undefined,
      {
        kind: 'unavailable',
        code: 'ROUTE_UNCERTAIN',
        rule: 'medical',
        reason:
          'rule medical of route team-a/r: classifier intent: medical (score 0.400, margin 0.100), uncertain: too low',
      },
    ]);
  });

  it('takes it by another match although a classifier that refuses is uncertain', () => {
    const { classify } = saying('medical', 'too low');
    const entry = entryOf(routeWith('Refuse', to('a', asks('medical'), { user: { in: ['u1'] } }), to('b')));
    expect(chooseRule(entry, context('m', { user: 'u1' }), { classify }).rule?.name).toBe('a');
    expect(chooseRule(entry, context('m', { user: 'u2' }), { classify }).refusal).toBeDefined();
  });

  it('is not refused for a classifier that decides nothing: what else its match asks does not hold', () => {
    const { asked, classify } = saying('medical', 'too low');
    const entry = entryOf(
      routeWith('Refuse', to('a', { ...asks('medical'), tenant: { in: ['t'] } }), to('b')),
    );
    expect(chooseRule(entry, context('m'), { classify }).rule?.name).toBe('b');
    expect(asked).toEqual([]);
  });

  it('is not refused because of what an earlier rule asked, where a later one is unknown for another reason', () => {
    const { classify } = saying('medical', 'too low');
    const first = to('a', { not: [{ ...asks('medical') }], tenant: { in: ['t'] } });
    const entry = entryOf(routeWith('Refuse', first, to('b', { promptRegex: 'x' }), to('c')));
    expect(chooseRule(entry, context('m'), { classify }).rule?.name).toBe('c');
  });

  it('of a node without classifiers is what holds without them', () => {
    const { labels, rule: taken } = chooseRule(entryOf(routeWith('NoMatch', ...rules)), context('m'), {});
    expect(taken?.name).toBe('everyone');
    expect(labels).toEqual([silent('intent', 'this node runs no classifiers')]);
  });

  it('says why no rule matches', () => {
    const { classify } = saying('medical', 'too low');
    const table = buildTable(planOf(routeWith('NoMatch', to('a', asks('medical')))), { name: 'tiny' });
    const facts = { serves: () => true, isHeld: () => false, classify };
    const [found] = route(table, context('m'), facts, 'r').candidates;
    expect(found).toMatchObject({
      kind: 'unavailable',
      reason:
        'no rule matches this request in route team-a/r; classifier intent: medical (score 0.400, margin 0.100), uncertain: too low',
    });
  });
});

describe('a route that asks a classifier that it does not have', () => {
  it('is not accepted, and says which', () => {
    const resource = routeOf('team-a/r', 'm', [to('a', asks('medical'))]);
    expect(entryOf(resource)).toMatchObject({
      accepted: false,
      message: 'route team-a/r cannot be used: must be a classifier of the route',
    });
  });

  it('is not accepted with patterns that cost too much together', () => {
    const costly = Array.from({ length: 4 }, (_, index) => to(`r${index}`, { promptRegex: 'a{1,500}' }));
    const { accepted, message } = entryOf(routeOf('team-a/r', 'm', costly));
    expect([accepted, message]).toEqual([false, expect.stringContaining('at most 1000 are allowed')]);
  });
});
