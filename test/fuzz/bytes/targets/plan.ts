import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HeldPlan } from '../../../../src/control/held-plan.ts';
import { adapter, at, planOf } from '../../../../src/control/plans.fixture.ts';
import { withChecksum } from '../../../../src/disk/checked.ts';
import { resourceKey } from '../../../../src/plan/resources.ts';
import { PlanFile } from '../../../../src/runtime/state/plan-file.ts';
import type { Mutator } from '../mutators/choices.ts';
import { checkedState } from '../mutators/state.ts';
import { scratch } from '../scratch.ts';
import { must, type Target } from '../target.ts';

const heldOf = (...priorities: readonly number[]): HeldPlan => {
  const plan = planOf(...priorities.map((priority, index) => adapter(`a${index}`, { priority })));
  return {
    clusterUid: 'c',
    revision: at(priorities.length),
    resources: [...plan].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, resource]) => resource),
    removals: [],
  };
};

const folder = (): string => join(scratch(), 'plan-log');
const journal = (): string => join(folder(), 'plan.log');

/** The journal of a plan that is on the disk from then on. */
const written = async (): Promise<Uint8Array> => {
  rmSync(folder(), { recursive: true, force: true });
  mkdirSync(folder(), { recursive: true });
  const file = new PlanFile(folder(), 0);
  const many = Array.from({ length: 12 }, () => 0);
  await file.write(heldOf(...many));
  for (const next of [[1, ...many.slice(1)], many.slice(1), [...many, 5]]) await file.write(heldOf(...next));
  return readFileSync(journal());
};
const example = await written();

/** Changes one line, and sums it again. */
const oneLine: Mutator = (bytes, choices, other) => {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  const index = choices.below(lines.length);
  lines[index] = Buffer.from(checkedState(Buffer.from(lines[index] ?? ''), choices, other)).toString('utf8');
  return Buffer.from(lines.join('\n'));
};

const foreign = withChecksum({ journal: 'of another plan', line: 0 });

const planLog: Target = {
  name: 'plan-log',
  reads: 'src/runtime/state/plan-file.ts, src/control/held-plan.ts',
  examples: () => [example, Buffer.from(`${foreign}\n`)],
  mutators: [oneLine],
  codes: [],
  run: async (bytes) => {
    writeFileSync(journal(), bytes);
    const read = await new PlanFile(folder(), 0).read();
    if (read.kind !== 'value') throw new Error(`the plan is ${read.kind}`);
    must(readdirSync(folder()).toSorted().join() === 'plan.json,plan.log', 'there are other files');
    const { held, problems } = read.value;
    const keys = held.resources.map(resourceKey);
    must(new Set(keys).size === keys.length, 'a resource is there twice');
    must(keys.toSorted().join() === keys.join(), 'the resources are in no order');
    return `${held.revision.adapters < 20n ? held.revision.adapters : 'later'} ${problems.length > 0}`;
  },
};

export const planTargets: readonly Target[] = [planLog];
