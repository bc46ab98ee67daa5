import type { Residency } from '../residency/manager.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';

/** The least time between two writes: after a power cut the uses of so long are not known. */
const rememberMs = 600_000;

/**
 * Writes down how often and how recently adapters were used, where one was; the stack writes it a last time. A disk that refuses
 * costs only the order in which adapters leave after the next start.
 */
export const rememberUses = (
  { clock, logger }: Pick<RuntimeParts, 'clock' | 'logger'>,
  { memory }: { readonly memory: Pick<Disk['memory'], 'uses'> },
  { diskUses }: Pick<Residency, 'diskUses'>,
  stack: AsyncDisposableStack,
): void => {
  let written = diskUses.count;
  const remember = async (): Promise<void> => {
    const { count } = diskUses;
    if (count === written) return;
    try {
      await memory.uses.write(diskUses.remembered());
      written = count;
    } catch (error) {
      logger.warn({ err: error }, 'the uses of adapters could not be written to disk');
    }
  };
  let cancel: () => void;
  const again = (): void => {
    void remember();
    cancel = clock.after(rememberMs, again);
  };
  cancel = clock.after(rememberMs, again);
  stack.defer(async () => {
    cancel();
    await remember();
  });
};
