import { bad, badForParser, type Fields, good, manifest, type Row } from './manifests.ts';

const rollout = (fields: Fields = {}) => manifest('AdapterRollout', { adapter: 'sql-v1', ...fields });
const steps = (...list: unknown[]) => rollout({ strategy: { canary: { steps: list } } });

const measures = (analysis: Fields) => rollout({ strategy: { canary: { steps: [], analysis } } });
const unseen =
  'it does not look into the analyses of a rollout: the schema would stand in its CRD four times';

export const rolloutRows: readonly Row[] = [
  good(
    'an AdapterRollout as in the documentation',
    `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRollout
metadata: {name: sql}
spec:
  adapter: sql-v2
  strategy:
    canary:
      steps:
      - setWeight: 5
      - pause: {duration: 10m}
      - setWeight: 50
      - pause: {}
`,
  ),
  good('only an adapter', rollout()),
  good(
    'every field of an AdapterRollout',
    rollout({
      runtimeSelector: { matchLabels: { accelerator: 'npu' } },
      revisionHistoryLimit: 20,
      rollbackWindow: { revisions: 0 },
      paused: true,
      strategy: { canary: { steps: [{ setWeight: 0 }, { setWeight: 100 }], hashOn: 'Session' } },
      guard: {
        maxConsecutiveErrors: 1,
        maxErrorRatio: '20%',
        minRequests: 1,
        maxLatency: '1.5s',
        window: '1h',
      },
    }),
  ),
  good('blue-green with its defaults', rollout({ strategy: { blueGreen: {} } })),
  good(
    'a switch after a while, with a deadline',
    rollout({
      strategy: { blueGreen: { autoPromotion: true, autoPromotionAfter: '5m' } },
      progressDeadline: '24h',
      progressDeadlineAbort: true,
    }),
  ),
  good(
    'a preload of most runtimes, then of all',
    steps({ preload: { successThreshold: '90%' } }, { setWeight: 5 }, { preload: {} }),
  ),
  good('no steps at all', steps()),
  good('an analysis with its defaults, beside the steps', measures({})),
  good('an analysis step with its defaults', steps({ setWeight: 5 }, { analysis: { duration: '5m' } })),
  good(
    'an A/B test',
    rollout({
      strategy: { abTest: { weight: 30, duration: '24h', promoteWinner: true, goal: { alpha: 0.1 } } },
    }),
  ),
  good(
    'blue-green with analyses',
    rollout({
      strategy: {
        blueGreen: { prePromotionAnalysis: { duration: '1m' }, postPromotionAnalysis: { duration: '10m' } },
      },
    }),
  ),
  badForParser(
    'an analysis step that would never end',
    steps({ analysis: {} }),
    'spec.strategy.canary.steps[0].analysis: needs a duration, or metrics that all have a count: it would never end',
    unseen,
  ),
  good(
    'analyses by reference, wherever one may stand',
    rollout({
      strategy: {
        canary: {
          steps: [
            { analysis: { ref: 'a' } },
            { analysis: { ref: 'a', duration: '5m', onInconclusive: 'Continue' } },
          ],
          analysis: { ref: 'b', startingStep: 1 },
        },
      },
    }),
  ),
  good(
    'analyses by reference in blue-green',
    rollout({
      strategy: { blueGreen: { prePromotionAnalysis: { ref: 'a' }, postPromotionAnalysis: { ref: 'b' } } },
    }),
  ),
  badForParser(
    'a reference and metrics at once',
    measures({ ref: 'a', metrics: [{ name: 'm', source: { builtin: 'ErrorRatio' } }] }),
    'spec.strategy.canary.analysis: must not have both ref and metrics',
    unseen,
  ),
  bad('a reference that is no text', measures({ ref: 7 }), 'must be of type string: "integer"'),
  badForParser(
    'a metric in a rollout that is not valid',
    measures({ metrics: [{ name: 'm', source: { builtin: 'Nope' } }] }),
    'spec.strategy.canary.analysis.metrics[0].source.builtin: must be one of',
    unseen,
  ),
  bad(
    'an A/B test without an end',
    rollout({ strategy: { abTest: {} } }),
    'spec.strategy.abTest.duration: Required value',
  ),
  good(
    'a shadow with all its fields',
    rollout({ strategy: { shadow: { percentage: 25, duration: '1h', maxMismatch: '5%', promote: true } } }),
  ),
  good(
    'copies of requests as steps, and a metric of them',
    steps(
      { setMirrorRoute: { percentage: 100 } },
      {
        analysis: {
          duration: '1h',
          metrics: [
            {
              name: 'same',
              source: { builtin: 'Mismatch' },
              judge: { threshold: { failure: { atLeast: 0.2 }, success: { atMost: 0.05 } } },
            },
          ],
        },
      },
      { setMirrorRoute: { percentage: 0 } },
    ),
  ),
  bad(
    'a group with the name of the last one',
    rollout({ groups: [{ name: 'rest' }] }),
    'spec.groups[0].name: Invalid value: "string": must not be rest: that is the group of the runtimes that are in no other; leave it out, it is always there',
  ),
  bad(
    'two groups of one name',
    rollout({ groups: [{ name: 'pilot' }, { name: 'pilot' }] }),
    'spec.groups: Invalid value: "array": names of groups must be unique in the list',
  ),
  bad(
    'a limit that is said twice',
    rollout({ groups: [{ name: 'pilot', limit: { count: 1, percentage: '5%' } }] }),
    'spec.groups[0].limit: Invalid value: "object": must have exactly one of count, percentage, for example count: 2',
  ),
  bad(
    'two amounts that may fail',
    rollout({ maxFailures: { count: 1, percentage: '5%' } }),
    'spec.maxFailures: Invalid value: "object": must have exactly one of count, percentage, for example count: 2',
  ),
  good('no runtime that may fail', rollout({ maxFailures: { count: 0 } })),
  good(
    'groups with all that they may say',
    rollout({
      groups: [
        { name: 'lab', selector: { matchLabels: { site: 'lab' } }, bakeTime: '10m', successAction: 'Pause' },
        {
          name: 'tenth',
          limit: { percentage: '10%' },
          maxConcurrency: { count: 5 },
          maxUnavailable: { percentage: '20%' },
          successThreshold: '95%',
          maxFailures: { percentage: '5%' },
          progressDeadline: '1h',
          errorAction: 'RollbackGroup',
        },
      ],
    }),
  ),
  bad(
    'a shadow without an end',
    rollout({ strategy: { shadow: {} } }),
    'spec.strategy.shadow.duration: Required value',
  ),
  bad(
    'more copies than requests',
    steps({ setMirrorRoute: { percentage: 101 } }),
    'spec.strategy.canary.steps[0].setMirrorRoute.percentage: Invalid value: 101: spec.strategy.canary.steps[0].setMirrorRoute.percentage in body should be less than or equal to 100',
  ),
  good('as many steps as allowed', steps(...Array.from({ length: 64 }, (_, i) => ({ setWeight: i })))),

  bad('no adapter', manifest('AdapterRollout', {}), 'spec.adapter: Required value'),
  bad(
    'an adapter in another namespace',
    rollout({ adapter: 'team-b/sql' }),
    'spec.adapter: Invalid value: "string": must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ),
  bad(
    'an adapter in capitals',
    rollout({ adapter: 'SQL' }),
    'spec.adapter: Invalid value: "string": must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ),
  bad(
    'a history that is too short',
    rollout({ revisionHistoryLimit: 1 }),
    'spec.revisionHistoryLimit: Invalid value: 1: spec.revisionHistoryLimit in body should be greater than or equal to 2',
  ),
  bad(
    'a history that is too long',
    rollout({ revisionHistoryLimit: 21 }),
    'spec.revisionHistoryLimit: Invalid value: 21: spec.revisionHistoryLimit in body should be less than or equal to 20',
  ),
  bad(
    'a rollback window below zero',
    rollout({ rollbackWindow: { revisions: -1 } }),
    'spec.rollbackWindow.revisions: Invalid value: -1: spec.rollbackWindow.revisions in body should be greater than or equal to 0',
  ),
  bad(
    'paused as a text',
    rollout({ paused: 'true' }),
    'spec.paused: Invalid value: "string": spec.paused in body must be of type boolean: "string"',
  ),
  bad(
    'a strategy of a later version',
    rollout({ strategy: { bandit: {} } }),
    'unknown field "spec.strategy.bandit"',
  ),
  bad(
    'no strategy in a strategy',
    rollout({ strategy: {} }),
    'spec.strategy: Invalid value: "object": must have exactly one of canary, blueGreen, abTest, shadow, for example blueGreen: {}',
  ),
  bad(
    'two strategies',
    rollout({ strategy: { canary: { steps: [] }, blueGreen: {} } }),
    'spec.strategy: Invalid value: "object": must have exactly one of canary, blueGreen, abTest, shadow, for example blueGreen: {}',
  ),
  bad(
    'a switch by itself after a time that a person should make',
    rollout({ strategy: { blueGreen: { autoPromotion: false, autoPromotionAfter: '5m' } } }),
    'spec.strategy.blueGreen: Invalid value: "object": autoPromotionAfter needs autoPromotion: true; leave it out to wait for a person',
  ),
  bad(
    'a share of runtimes that is no percentage',
    steps({ preload: { successThreshold: '0%' } }),
    'spec.strategy.canary.steps[0].preload.successThreshold: Invalid value: "string": must be a whole percentage from 1% to 100%, such as 90%',
  ),
  bad(
    'a canary without steps',
    rollout({ strategy: { canary: {} } }),
    'spec.strategy.canary.steps: Required value',
  ),
  bad(
    'a weight above 100',
    steps({ setWeight: 101 }),
    'spec.strategy.canary.steps[0].setWeight: Invalid value: 101: spec.strategy.canary.steps[0].setWeight in body should be less than or equal to 100',
  ),
  bad(
    'a weight with a percent sign',
    steps({ setWeight: '20%' }),
    'spec.strategy.canary.steps[0].setWeight: Invalid value: "string": spec.strategy.canary.steps[0].setWeight in body must be of type integer: "string"',
  ),
  bad(
    'a weight with a fraction',
    steps({ setWeight: 2.5 }),
    'spec.strategy.canary.steps[0].setWeight: Invalid value: "number": spec.strategy.canary.steps[0].setWeight in body must be of type integer: "number"',
  ),
  bad(
    'an empty step',
    steps({ setWeight: 1 }, {}),
    'spec.strategy.canary.steps[1]: Invalid value: "object": must have exactly one of preload, setWeight, pause, analysis, setMirrorRoute, for example setWeight: 20',
  ),
  bad(
    'a step with two verbs',
    steps({ setWeight: 1, pause: {} }),
    'spec.strategy.canary.steps[0]: Invalid value: "object": must have exactly one of preload, setWeight, pause, analysis, setMirrorRoute, for example setWeight: 20',
  ),
  bad(
    'a step that is spelled wrong',
    steps({ setWieght: 5 }),
    'unknown field "spec.strategy.canary.steps[0].setWieght"',
  ),
  bad(
    'a step that is a text',
    steps('pause'),
    'spec.strategy.canary.steps[0]: Invalid value: "string": spec.strategy.canary.steps[0] in body must be of type object: "string"',
  ),
  bad(
    'a pause that is written as nothing',
    steps({ pause: null }),
    'spec.strategy.canary.steps[0]: Invalid value: "object": must have exactly one of preload, setWeight, pause, analysis, setMirrorRoute, for example setWeight: 20',
  ),
  bad(
    'a pause for days',
    steps({ pause: { duration: '1d' } }),
    'spec.strategy.canary.steps[0].pause.duration: Invalid value: "string": must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)',
  ),
  bad(
    'a pause that is a number',
    steps({ pause: { duration: 60 } }),
    'spec.strategy.canary.steps[0].pause.duration: Invalid value: "integer": spec.strategy.canary.steps[0].pause.duration in body must be of type string: "integer"',
  ),
  bad(
    'too many steps',
    steps(...Array.from({ length: 65 }, () => ({ setWeight: 1 }))),
    'spec.strategy.canary.steps: Too many: 65: must have at most 64 items',
  ),
  bad(
    'steps that are a map',
    rollout({ strategy: { canary: { steps: {} } } }),
    'spec.strategy.canary.steps: Invalid value: "object": spec.strategy.canary.steps in body must be of type array: "object"',
  ),
  bad(
    'a hashOn in the wrong case',
    rollout({ strategy: { canary: { steps: [], hashOn: 'user' } } }),
    'spec.strategy.canary.hashOn: Unsupported value: "user": supported values: "User", "Session", "Request"',
  ),
  bad(
    'a guard that never fires',
    rollout({ guard: { maxConsecutiveErrors: 0 } }),
    'spec.guard.maxConsecutiveErrors: Invalid value: 0: spec.guard.maxConsecutiveErrors in body should be greater than or equal to 1',
  ),
  bad(
    'a guard that looks back for no time',
    rollout({ guard: { window: '0s' } }),
    'spec.guard.window: Invalid value: "string": must be from 1s to 1h',
  ),
  bad(
    'a guard on a share that is no percentage',
    rollout({ guard: { maxErrorRatio: '0.2' } }),
    'spec.guard.maxErrorRatio: Invalid value: "string": must be a whole percentage from 1% to 100%, such as 90%',
  ),
  bad(
    'a pause of years',
    steps({ pause: { duration: '9000h' } }),
    'spec.strategy.canary.steps[0].pause.duration: Invalid value: "string": must be at most 8784h',
  ),
];
