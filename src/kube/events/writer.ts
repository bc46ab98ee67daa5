import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { KubeApi } from '../client/api.ts';
import { microTime, pathOf } from '../client/object.ts';
import {
  type EventNote,
  eventNameOf,
  eventNamespaceOf,
  eventObject,
  eventType,
  type Reporter,
} from './object.ts';

/** An event on the server, or on its way there, that may happen again. */
export type ToldEvent = {
  readonly event: EventNote;
  /** Wall time, like `lastAt`. */
  readonly firstAt: number;
  name: string;
  isThere: boolean;
  count: number;
  lastAt: number;
};

export type EventWriterOptions = Reporter & {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly random: () => number;
};

/** Writes events, and how often they happened, to the API server. */
export class EventWriter {
  readonly #options: EventWriterOptions;
  readonly #signal: AbortSignal;
  #names = 0;

  constructor(options: EventWriterOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  newName(event: EventNote): string {
    const { clock, random } = this.#options;
    this.#names = (this.#names + 1) % 0x1000;
    return eventNameOf(event, `${hex(clock.now(), 11)}${hex(this.#names, 3)}${hex(random() * 2 ** 24, 6)}`);
  }

  /** @throws AdaptletError as `KubeApi` */
  async write(told: ToldEvent, count: number): Promise<void> {
    if (told.isThere) {
      if (await this.#patch(told, count)) return;
      // Events do not live long. It is told anew.
      told.isThere = false;
      told.name = this.newName(told.event);
    }
    await this.#create(told, count);
    told.isThere = true;
  }

  /** False when the server does not have it any more. */
  async #patch({ event, name, lastAt }: ToldEvent, count: number): Promise<boolean> {
    try {
      await this.#options.api.request({
        method: 'PATCH',
        path: pathOf(eventType, eventNamespaceOf(event), name),
        contentType: 'application/merge-patch+json',
        body: { series: seriesOf(count, lastAt) },
        signal: this.#signal,
      });
      return true;
    } catch (error) {
      if (errorCodeOf(error) === 'KUBE_NOT_FOUND') return false;
      throw error;
    }
  }

  async #create({ event, name, firstAt, lastAt }: ToldEvent, count: number): Promise<void> {
    const object = eventObject(event, name, firstAt, this.#options);
    try {
      await this.#options.api.request({
        method: 'POST',
        path: pathOf(eventType, eventNamespaceOf(event)),
        // A series has at least two.
        body: count > 1 ? { ...object, series: seriesOf(count, lastAt) } : object,
        signal: this.#signal,
      });
    } catch (error) {
      // An earlier try arrived, only its answer did not.
      if (errorCodeOf(error) !== 'KUBE_CONFLICT') throw error;
    }
  }
}

const seriesOf = (count: number, at: number) => ({ count, lastObservedTime: microTime(at) });

const hex = (value: number, digits: number): string => Math.floor(value).toString(16).padStart(digits, '0');
