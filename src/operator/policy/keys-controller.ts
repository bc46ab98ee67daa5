import { cut } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { Log } from '../../telemetry/log.ts';
import type { KeySecrets } from '../keys/key-secrets.ts';
import type { Controller, ControllerParts } from '../reconcile/controller.ts';
import { versionOf } from '../reconcile/fenced-writes.ts';
import type { KeyEventReason } from './reasons.ts';

export type KeysParts = Pick<ControllerParts, 'recorder'> & {
  readonly keys: Pick<KeySecrets, 'list' | 'get' | 'problemOf' | 'onChange'>;
  readonly logger: Log;
};

/** Milliseconds in which changes are gathered: each may concern every Secret with keys. */
const gatherMs = 500;

/** Tells of Secrets whose keys do not count, by an event and in the log. Which ones count is decided in ../keys/counted.ts. */
export class KeysController implements Controller {
  readonly name = 'keys';
  readonly #parts: KeysParts;
  /** What was said of each Secret, with its uid. */
  readonly #said = new Map<ObjectKey, string>();

  constructor(parts: KeysParts) {
    this.#parts = parts;
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const { keys } = this.#parts;
    const all = (): void => {
      for (const key of new Set([...keys.list().map((one) => one.key), ...this.#said.keys()]))
        enqueue(key, gatherMs);
    };
    const stop = keys.onChange(all);
    all();
    return stop;
  };

  readonly reconcile: Controller['reconcile'] = async (key) => {
    const { keys, recorder, logger } = this.#parts;
    const secret = keys.get(key);
    const problem = keys.problemOf(key);
    if (secret === undefined || problem === undefined) {
      this.#said.delete(key);
      return {};
    }
    const now = `${secret.metadata.uid} ${problem}`;
    if (this.#said.get(key) === now) return {};
    this.#said.set(key, now);
    logger.warn({ secret: key, problem }, 'keys of a Secret do not count');
    const reason: KeyEventReason = 'KeysNotTaken';
    recorder.record({
      regarding: versionOf('Secret', secret),
      type: 'Warning',
      reason,
      note: cut(problem, 1024),
      action: 'Observe',
    });
    return {};
  };
}
