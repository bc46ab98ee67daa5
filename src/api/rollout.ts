import { z } from 'zod';
import { analysisStepSchema, backgroundAnalysisSchema, comparisonShape } from './analysis.ts';
import { durationBetween, durationSchema } from './duration.ts';
import { exactlyOneOf } from './exactly-one.ts';
import { amount, groupsSchema } from './groups.ts';
import { loosely } from './loosely.ts';
import { nameSchema } from './names.ts';
import { percentSchema } from './percent.ts';
import { selectorSchema } from './selector.ts';
import { cel } from './text.ts';

const inlineAnalysis = loosely(analysisStepSchema, ['ref']);

/** Exactly one member is present. */
export const stepSchema = exactlyOneOf(
  {
    preload: z
      .strictObject({
        successThreshold: percentSchema
          .meta({
            description:
              'Share of the connected runtimes that is enough, from this step on. The others serve stable until they are ready. Example: 90%. Default: all of them.',
          })
          .optional(),
      })
      .meta({
        description:
          'Waits until the connected runtimes have the canary Resident. They load it from the start in any case.',
      })
      .optional(),
    setWeight: z
      .int()
      .min(0)
      .max(100)
      .meta({ description: 'Percent of requests for the canary, 0 to 100. Example: 20' })
      .optional(),
    pause: z
      .strictObject({
        duration: durationSchema
          .meta({ description: 'How long to wait. Example: 10m. Default: until somebody promotes.' })
          .optional(),
      })
      .meta({ description: 'Waits before the next step. `pause: {}` waits until somebody promotes.' })
      .optional(),
    analysis: inlineAnalysis.optional(),
    setMirrorRoute: z
      .strictObject({
        percentage: z.int().min(0).max(100).meta({
          description: 'Percent of the requests that stable answers, 0 to 100; 0 ends it. Example: 10',
        }),
      })
      .meta({
        description:
          'Gives the canary copies of requests that stable has answered, from this step on. Its answers are compared and thrown away.',
      })
      .optional(),
  },
  ['preload', 'setWeight', 'pause', 'analysis', 'setMirrorRoute'],
  {
    example: 'setWeight: 20',
    description: 'One step. Exactly one of preload, setWeight, pause, analysis, setMirrorRoute.',
  },
);
export type Step = z.infer<typeof stepSchema>;

/** What makes a request sticky. */
export const hashOnSchema = z.enum(['User', 'Session', 'Request']).meta({
  description:
    'What keeps a caller on one side. User: the user id, else the session, else each request by itself. Session: the session, else each request. Request: each request by itself. Default User.',
});
export type HashOn = z.infer<typeof hashOnSchema>;

const canarySchema = z
  .strictObject({
    steps: z.array(stepSchema).max(64).meta({
      description:
        'Steps in their order, at most 64; after the last one the canary is stable. An empty list switches at once, when the canary is ready.',
    }),
    analysis: loosely(backgroundAnalysisSchema, ['ref']).optional(),
    hashOn: hashOnSchema.default('User'),
  })
  .meta({ description: 'Raises the share of the new adapter step by step.' });

const promotionAdvice = 'autoPromotionAfter needs autoPromotion: true; leave it out to wait for a person';

const blueGreenSchema = z
  .strictObject({
    autoPromotion: z.boolean().default(true).meta({
      description:
        'Switches without a person. false: waits, with the new adapter ready everywhere, until somebody promotes. Default true.',
    }),
    autoPromotionAfter: durationSchema
      .meta({
        description: 'How long the new adapter is ready before the switch. Example: 5m. Default: at once.',
      })
      .optional(),
    prePromotionAnalysis: inlineAnalysis
      .meta({
        description:
          'Measures before the switch, while no request goes to the new adapter: what Prometheus or a web server says.',
      })
      .optional(),
    postPromotionAnalysis: inlineAnalysis
      .meta({ description: 'Measures after the switch; the former adapter is stable until it has passed.' })
      .optional(),
  })
  .superRefine(({ autoPromotion, autoPromotionAfter }, ctx) => {
    if (autoPromotion || autoPromotionAfter === undefined) return;
    ctx.addIssue({ code: 'custom', message: promotionAdvice });
  })
  .meta({
    description: 'Loads the new adapter on every connected runtime, then gives it all traffic in one step.',
    ...cel({
      rule: '!has(self.autoPromotionAfter) || !has(self.autoPromotion) || self.autoPromotion',
      message: promotionAdvice,
    }),
  });
export type BlueGreen = z.infer<typeof blueGreenSchema>;

const abTestSchema = z
  .strictObject({
    weight: z.int().min(1).max(99).default(50).meta({
      description: 'Percent of requests for the new adapter, 1 to 99. Default 50.',
    }),
    duration: durationSchema.meta({ description: 'How long the test runs. Example: 24h' }),
    goal: z.strictObject(comparisonShape).prefault({}).meta({
      description: 'Which side wins: the one that earns more feedback, by a confidence sequence.',
    }),
    promoteWinner: z.boolean().default(false).meta({
      description:
        'Makes the winner stable without a person: the new adapter at the end of the test, the present one as soon as it is sure. false: waits until somebody promotes or aborts. Default false.',
    }),
    hashOn: hashOnSchema.default('User'),
  })
  .meta({
    description:
      'Gives a fixed share of callers the new adapter and compares what both sides earn in feedback. Errors and latency are guardrails meanwhile.',
  });
export type AbTest = z.infer<typeof abTestSchema>;

const shadowSchema = z
  .strictObject({
    percentage: z.int().min(1).max(100).default(10).meta({
      description:
        'Percent of the requests that stable answers of which the new adapter gets a copy, 1 to 100. Default 10.',
    }),
    duration: durationSchema.meta({ description: 'How long it gets copies. Example: 1h' }),
    maxMismatch: percentSchema
      .meta({
        description:
          'Gives the new adapter up when more than this share of its answers, at least 100, differs from those of stable; failures count as different. Requests that are sampled without a seed do not count. Example: 5%. Default: the answers are compared for people only.',
      })
      .optional(),
    promote: z.boolean().default(false).meta({
      description:
        'Makes the new adapter stable at the end without a person, in one step. false: waits until somebody promotes or aborts. Default false.',
    }),
  })
  .meta({
    description:
      'Gives the new adapter copies of requests that stable has answered and compares the answers. No caller gets its answers until it is promoted.',
  });
export type Shadow = z.infer<typeof shadowSchema>;

/** Exactly one member is present; src/rollout/strategy makes steps of either. */
export const strategySchema = exactlyOneOf(
  {
    canary: canarySchema.optional(),
    blueGreen: blueGreenSchema.optional(),
    abTest: abTestSchema.optional(),
    shadow: shadowSchema.optional(),
  },
  ['canary', 'blueGreen', 'abTest', 'shadow'],
  {
    example: 'blueGreen: {}',
    description: 'How traffic moves to the new adapter. Exactly one of canary, blueGreen, abTest, shadow.',
  },
);
export type Strategy = z.infer<typeof strategySchema>;

/** What makes a caller sticky. Blue-green never has callers on both sides: there it does not matter. */
export const hashOnOf = ({ canary, abTest }: Strategy): HashOn => canary?.hashOn ?? abTest?.hashOn ?? 'User';

export const guardSchema = z
  .strictObject({
    maxConsecutiveErrors: z.int().min(1).max(1000).default(5).meta({
      description:
        'Errors of the canary in a row after which the node goes back to stable, 1 to 1000. Default 5.',
    }),
    maxErrorRatio: percentSchema
      .meta({
        description:
          "The node goes back to stable when more than this share of the canary's requests in the window failed. Example: 20%. Default: only errors in a row count.",
      })
      .optional(),
    maxLatency: durationBetween('1ms', '1h')
      .meta({
        description:
          "The node goes back to stable when more than half of the canary's requests in the window took longer, unless the same is true of stable. Of generated text it is the time that the engine itself takes up to the first token, without waiting; of embeddings and classifications the whole answer. Example: 500ms. Default: latency does not count.",
      })
      .optional(),
    minRequests: z
      .int()
      .min(1)
      .max(100_000)
      .meta({
        description:
          'Requests of the canary in the window, for maxErrorRatio and maxLatency; stable is compared with when it has as many. 1 to 100000. Default 20.',
      })
      .optional(),
    window: durationBetween('1s', '1h')
      .meta({
        description: 'How far back maxErrorRatio and maxLatency look, 1s to 1h. Default 60s.',
      })
      .optional(),
  })
  .meta({
    description:
      'Rollback on the node itself, without an operator, at the next request. Errors are answers that the adapter fails to give: not finite, of a wrong shape, an exception, an end of the engine. Mistakes of the caller, cancellations, deadlines and a full queue do not count.',
  });
export type GuardSpec = z.infer<typeof guardSchema>;

export const rolloutSpecSchema = z
  .strictObject({
    adapter: nameSchema.meta({
      description:
        'Name of the Adapter that should serve, in the same namespace. A change of it starts a rollout. Example: sql-v2',
    }),
    runtimeSelector: selectorSchema
      .meta({
        description: 'Runtimes that the rollout applies to. Default: every runtime of the base model.',
      })
      .optional(),
    revisionHistoryLimit: z.int().min(2).max(20).default(3).meta({
      description:
        'Former stable adapters that nodes keep on disk, so that a rollback never downloads; 2 to 20. Default 3.',
    }),
    rollbackWindow: z
      .strictObject({
        revisions: z.int().min(0).max(20).default(1).meta({
          description: 'How many former stable adapters count as recent, 0 to 20. Default 1.',
        }),
      })
      .default({ revisions: 1 })
      .meta({ description: 'Going back to a recent stable adapter skips the steps.' }),
    paused: z.boolean().default(false).meta({ description: 'Holds the rollout where it is. Default false.' }),
    progressDeadline: durationSchema.default('10m').meta({
      description:
        'How long the rollout may wait for its adapter without any progress before it is Degraded; it still goes on when the adapter comes. Pauses do not count, and neither do runtimes that are offline. Default 10m.',
    }),
    progressDeadlineAbort: z
      .boolean()
      .default(false)
      .meta({ description: 'Gives the canary up when the progress deadline has passed. Default false.' }),
    strategy: strategySchema
      .default({
        canary: {
          steps: [5, 25, 50].flatMap((setWeight) => [{ setWeight }, { pause: { duration: '1m' } }]),
          analysis: { startingStep: 0 },
          hashOn: 'User',
        },
      })
      .meta({
        description:
          'How traffic moves to the new adapter. Exactly one of canary, blueGreen, abTest, shadow. Default: canary with 5, 25 and 50 percent and a minute at each, and errors and latency judged beside it.',
      }),
    groups: groupsSchema.optional(),
    maxFailures: amount('the runtimes that count', 0)
      .meta({
        description:
          'More failed runtimes than this give the canary up; up to it they are set aside (status.failures): they serve stable and the rollout goes on. A runtime has failed when it refused the adapter or its guard tripped, does not have the adapter within progressDeadline, or has counts that contradict those of the others. Runtimes count that are connected, ready, and neither cordoned nor held. Groups have their own. Exactly one of count, percentage. Default: a tenth of the runtimes, at least 1, of more than 4 runtimes; of 4 or fewer none.',
      })
      .optional(),
    guard: guardSchema.default({ maxConsecutiveErrors: 5 }),
    fallbackToBase: z.boolean().default(false).meta({
      description:
        'Lets the base model answer on a node where stable fails again and again, or is refused, and the version before it cannot serve either. Such answers say so (arm base), and the rollout is Degraded there. Default false: callers get an error that names what is broken.',
    }),
  })
  .meta({ description: 'The stable name that clients call, and which Adapter should serve it.' });
export type RolloutSpec = z.infer<typeof rolloutSpecSchema>;
