import { BoundedClock, type Span } from '../../time/bounded-clock.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';

/** How often what the clock says is written down: after a start in 1970 the time is known to be at least that. */
const rememberMs = 3_600_000;

/**
 * The clock of a node, and what it remembers of the time. The stack writes it a last time. A disk that refuses costs only what is known after
 * the next start.
 */
export const openClock = (
  { clock: machine, logger }: Pick<RuntimeParts, 'clock' | 'logger'>,
  { memory, remembered }: Pick<Disk, 'memory' | 'remembered'>,
  stack: AsyncDisposableStack,
) => {
  const clock = new BoundedClock(machine, remembered.time);
  let wasBehind = false;
  let cancel: (() => void) | undefined;
  const look = (): void => {
    if (clock.isBehind && !wasBehind)
      logger.warn(
        { says: new Date(machine.now()).toISOString(), isAtLeast: new Date(clock.now()).toISOString() },
        'the clock of this machine is wrong: it is known to be later; set it, or let it be set by NTP',
      );
    wasBehind = clock.isBehind;
  };
  const remember = async (): Promise<void> => {
    try {
      await memory.time.write(clock.known());
    } catch (error) {
      logger.warn({ err: error }, 'the time could not be written to disk');
    }
  };
  const everyHour = (): void => {
    look();
    void remember();
    cancel = machine.after(rememberMs, everyHour);
  };
  cancel = machine.after(rememberMs, everyHour);
  look();
  stack.defer(async () => {
    cancel?.();
    await remember();
  });
  const learned = (isNew: boolean): void => {
    if (!isNew) return;
    look();
    void remember();
  };
  return {
    clock,
    time: {
      raise: (ms: number) => learned(clock.raise(ms)),
      settle: (span: Span) => learned(clock.settle(span)),
      agrees: (span: Span) => clock.agrees(span),
      get isBehind() {
        return clock.isBehind;
      },
      get least() {
        return clock.least;
      },
    },
  };
};
