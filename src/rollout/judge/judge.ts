import { judgeMannWhitney } from './mann-whitney.ts';
import type { Counters } from './reports.ts';
import { judgeReward } from './reward.ts';
import { judgeSampleRatio } from './sample-ratio.ts';
import { judgeSequential } from './sequential.ts';
import type { JudgeSpec } from './spec.ts';
import { judgeThreshold } from './threshold.ts';
import type { Moment, Verdict } from './verdict.ts';

/** One look at the counters. Pure: the same counters give the same verdict. */
export const judge = (counters: Counters, spec: JudgeSpec, moment: Moment = 'during'): Verdict => {
  switch (spec.type) {
    case 'sequential':
      return judgeSequential(counters, spec, moment);
    case 'threshold':
      return judgeThreshold(counters, spec, moment);
    case 'mannWhitney':
      return judgeMannWhitney(counters, spec, moment);
    case 'sampleRatio':
      return judgeSampleRatio(counters, spec, moment);
    case 'reward':
      return judgeReward(counters, spec, moment);
  }
};
