import { conditionReasons } from '../../src/rollout/reasons.ts';
import { eventNames, exploreTransitions, type State, type Transition } from './rollout-transitions.ts';
import { code, table } from './table.ts';

const path = 'docs/reference/rollouts.md';

const phases = ['Progressing', 'Paused', 'Healthy', 'Degraded'];
const reasons = Object.keys(conditionReasons);
const rank = ({ phase, reason }: State): number => phases.indexOf(phase) * 100 + reasons.indexOf(reason);
const byState = (a: State, b: State): number => rank(a) - rank(b);

const meaningOf = (reason: string): string =>
  Object.entries(conditionReasons).find(([name]) => name === reason)?.[1] ?? '';

/** Events between two phases, with the phases in their order. */
const diagram = (transitions: readonly Transition[]): readonly string[] => [
  '```mermaid',
  'stateDiagram-v2',
  '  [*] --> Progressing: created',
  ...phases.flatMap((from) =>
    phases.flatMap((to) => {
      const between = transitions.filter(
        (one) => one.from.phase === from && one.to.some(({ phase }) => phase === to),
      );
      const events = eventNames.filter((name) => between.some(({ event }) => event === name));
      return from === to || events.length === 0 ? [] : [`  ${from} --> ${to}: ${events.join('<br/>')}`];
    }),
  ),
  '```',
];

const changes = ({ from, to }: Transition): boolean => to.some(({ reason }) => reason !== from.reason);

const transitionRows = (transitions: readonly Transition[]): readonly (readonly string[])[] =>
  transitions
    .filter(changes)
    .toSorted((a, b) => byState(a.from, b.from) || eventNames.indexOf(a.event) - eventNames.indexOf(b.event))
    .map(({ from, event, to }) => [
      code(from.reason),
      event,
      to
        .toSorted(byState)
        .map(({ reason }) => code(reason))
        .join(', '),
    ]);

const inGroups = [
  ['Progressing', 'AwaitingGroup'],
  ['Paused', 'GroupBaking'],
  ['Paused', 'GroupUnavailable'],
  ['Paused', 'GroupFailed'],
] as const;
/** What other objects and runtimes bring about, with or without the events below. */
const fromElsewhere = [
  ['Progressing', 'AnalysisNotFound'],
  ['Degraded', 'AnalysisInvalid'],
  ['Degraded', 'StableFails'],
] as const;
const rowsOf = (
  states: readonly (readonly [string, keyof typeof conditionReasons])[],
): readonly (readonly string[])[] =>
  states.map(([phase, reason]) => [phase, code(reason), conditionReasons[reason]]);
const stateHeads = ['phase', 'reason', 'what it means'];

const prose = `# Rollouts

What an AdapterRollout does, and when. Fields: [api.md](api.md); step by step:
[roll-out-in-a-cluster.md](../how-to/roll-out-in-a-cluster.md). A node without a cluster and the operator run the same code.

## Strategies and steps

- \`canary\`: a list of steps. \`setWeight\` allows the canary a share; \`pause\` waits for a time, or for a person;
  \`preload\` waits until the connected runtimes have the canary Resident; \`analysis\` measures, and then continues, pauses
  or gives the canary up. \`canary.analysis\` measures in the background, beside the steps
  ([how-to](../how-to/judge-a-rollout.md)).
- \`blueGreen\`: the steps \`preload: {}\`, a pause (for \`autoPromotionAfter\`; until somebody promotes with
  \`autoPromotion: false\`; else none) and \`setWeight: 100\`; \`prePromotionAnalysis\` is an analysis before the pause,
  \`postPromotionAnalysis\` one after the switch.
- \`abTest\`: \`preload: {}\`, \`setWeight\`, an analysis of the rewards of both sides for \`duration\`, and a pause until somebody
  promotes; with \`promoteWinner: true\` no pause. Errors and latency are measured beside it.
- \`shadow\`: \`preload: {}\`, \`setMirrorRoute\` with \`percentage\`, a pause of \`duration\` (with \`maxMismatch\` an analysis),
  \`setMirrorRoute: {percentage: 0}\`, and a pause until somebody promotes; with \`promote: true\` none. The canary gets copies of
  requests, and no caller gets its answers ([how-to](../how-to/shadow-traffic.md)).

Runtimes load a canary from the start, so \`preload\` only waits, as every other step does. Without a preload step, or with
\`preload: {}\`, all connected runtimes must be ready: the rollout waits while one of them is not. With \`successThreshold: 90%\`
nine of ten are enough, from that step to the next preload; the others serve stable until they are ready. A runtime that
*refuses* the canary aborts the rollout whatever the threshold, in a fleet of at most 4. In a larger one a tenth of the runtimes may fail, or
\`maxFailures\`: refuse it, trip their guard, or not have it for \`progressDeadline\`. They are set aside, \`status.failures\` names
them, and the rollout goes on ([why](../explanation/judge.md#no-runtime-judges-alone)). Runtimes that are offline, not ready to
serve, cordoned or held are not counted.

There is no \`scaleDownDelay\`. After a switch the former stable stays in RAM until something else needs the room, and on disk
as long as it is in \`status.history\`. A rollback never downloads.

## Deadline

A rollout that waits for its adapter (\`AwaitingAdapter\`, \`AwaitingDigest\`, \`AwaitingResident\`) without progress for
\`progressDeadline\` (10m) is Degraded with the reason \`ProgressDeadlineExceeded\`. It continues as soon as the adapter comes;
with \`progressDeadlineAbort: true\` the canary is given up instead. Progress means that one more runtime is ready, or that the
rollout waits for something else than before. Pauses do not count, nor does time in which the operator was down or no runtime
was connected. An edit of the spec restarts the time. \`status.progress\` shows it.

## Groups

With \`spec.groups\` all of this happens in one group of runtimes after the other ([how-to](../how-to/roll-out-in-waves.md)). Step,
weights and deadline are those of the present group; \`status.groups\` shows all groups. A group is \`Pending\`, \`Progressing\`
(its steps run), \`Baking\` (everybody has the canary, for \`bakeTime\`), then \`Succeeded\`. With \`successAction: Pause\` it is
\`Paused\` before that. With too many failures it is \`Failed\` or \`RolledBack\`, by \`errorAction\`. Instead of the whole fleet,
\`successThreshold\` of the group must be ready. A runtime that refuses the canary, or whose guard tripped, is a failure of its
group. The rollout then also has these reasons:

${table(stateHeads, rowsOf(inGroups)).join('\n')}

In groups \`promote\` also begins the group after a \`Paused\` one, and continues a \`Failed\` one. \`retry\` starts a \`Failed\` or
\`RolledBack\` group again, as a new attempt. \`promote --full\` begins all groups.

## Verbs

| verb | what it does | completionStatus |
|---|---|---|
| promote | ends the present pause or analysis; after \`AwaitingVerdict\` beside the steps: measures anew | \`Promoted\` after the last step |
| promote --full | skips all remaining steps, as soon as the canary is ready and nothing pauses the rollout | \`FastPromoted\` |
| abort | weight 0 in one decision; Degraded until the spec changes or a retry | \`Aborted\` |
| retry | starts what was aborted again at the first step | |
| rollback | on a node: abort, or back to the former stable when no canary is under way | \`Aborted\` |
| undo | changes \`spec.adapter\`: to stable, to the one before, or \`--to-revision N\` of \`status.history\` (1 is the newest) | \`RolledBack\`, \`FastRolledBack\` within \`rollbackWindow\`, else \`Promoted\` |
| pause, resume | \`spec.paused\` | |

\`undo\`, \`pause\` and \`resume\` change the spec, so they belong to \`kubectl adaptlet\`; \`adaptlet\` on a node says where the
spec is. \`kubectl wait --for=condition=Healthy aro/NAME\` waits for the end, \`kubectl adaptlet status NAME\` also fails early.

## States

The rest is generated: the deciding code was run with every event below in every situation that two Adapters can
reach, by steps with pauses and by steps with an analysis. A state is the reason of the condition Progressing; each belongs to one phase.
`;

/** docs/reference/rollouts.md: what a rollout does, and every transition that its state machine has. */
export const rolloutReference = async (): Promise<Map<string, string>> => {
  const transitions = exploreTransitions();
  const states = [...new Map(transitions.map(({ from }) => [from.reason, from])).values()].toSorted(byState);
  const text = [
    prose,
    ...table(
      stateHeads,
      states.map(({ phase, reason }) => [phase, code(reason), meaningOf(reason)]),
    ),
    '',
    'Three more come from other objects, or from runtimes; they go when what caused them does:',
    '',
    ...table(stateHeads, rowsOf(fromElsewhere)),
    '',
    ...diagram(transitions),
    '',
    '## Transitions',
    '',
    'More than one next state: which, depends on what else is the case. An event that is not listed for a state changes nothing',
    'there, is refused, or cannot happen. "It" is the Adapter that the spec names.',
    '',
    ...table(['state', 'event', 'next'], transitionRows(transitions)),
    '',
  ].join('\n');
  return new Map([[path, text]]);
};
