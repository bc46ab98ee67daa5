import type { Logger } from 'pino';
import type { Clock } from '../../time/clock.ts';
import type { Settings } from '../config/settings.ts';

/** What a runtime is started with. */
export type RuntimeParts = {
  readonly settings: Settings;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
};
