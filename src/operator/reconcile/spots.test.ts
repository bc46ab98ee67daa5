import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { selects } from '../../api/selector.ts';
import { Spots } from './spots.ts';

const few = <T extends string>(...values: T[]) => fc.constantFrom(...values);
const labels = fc.dictionary(few('zone', 'gpu', 'row'), few('1', '2'), { maxKeys: 3 });
const selector = fc.option(fc.record({ matchLabels: labels }), { nil: undefined });
const scope = fc.option(few('team-a', 'team-b'), { nil: undefined });
const spot = fc.record({ scope, labels, baseModel: few('tiny', 'other', '') });
const looker = fc.record({
  namespace: few('team-a', 'team-b', 'team-c'),
  nodes: selector,
  baseModel: fc.option(few('tiny', 'other', 'third'), { nil: undefined }),
  selector,
});

it('finds what a look at each spot finds', () => {
  fc.assert(
    fc.property(fc.array(spot, { maxLength: 6 }), looker, (spots, asked) => {
      const isFor = ({ scope: of, labels: own, baseModel }: (typeof spots)[number]): boolean =>
        (of === undefined ? selects(asked.nodes, own) : of === asked.namespace) &&
        (asked.baseModel === undefined || asked.baseModel === baseModel) &&
        selects(asked.selector, own);
      expect(new Spots(spots).isAnyFor(asked)).toBe(spots.some(isFor));
    }),
  );
});
