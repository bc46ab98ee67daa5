import type { Digest } from '../../api/names.ts';

/** How far the base model is. */
export type ModelState =
  /** The registry is asked what to fetch. */
  | { readonly kind: 'Resolving' }
  | ({ readonly kind: 'Downloading'; readonly bytesPerSecond: number } & Progress)
  /** The last try failed, and the next one comes by itself. */
  | ({ readonly kind: 'Waiting'; readonly code: string; readonly message: string } & Partial<Progress>)
  /** It is on the disk; the engine opens it. `doing`: what takes time just now. `failure`: of the last try. */
  | { readonly kind: 'Loading'; readonly failure?: string; readonly doing?: string }
  | { readonly kind: 'Ready' };

export type Progress = {
  readonly digest: Digest;
  readonly receivedBytes: number;
  readonly totalBytes: number;
};

const mebibytes = (bytes: number): string => String(Math.floor(bytes / 2 ** 20));

const sizesOf = ({ receivedBytes, totalBytes }: Progress): string =>
  `${mebibytes(receivedBytes)} of ${mebibytes(totalBytes)} MiB`;

const hasProgress = (state: Partial<Progress>): state is Progress =>
  state.digest !== undefined && state.receivedBytes !== undefined && state.totalBytes !== undefined;

/** One line for people; '' once the model serves. */
export const modelText = (state: ModelState): string => {
  switch (state.kind) {
    case 'Resolving':
      return 'the registry is asked for the base model';
    case 'Downloading': {
      const rate = (state.bytesPerSecond / 2 ** 20).toFixed(1);
      return `the base model is being downloaded: ${sizesOf(state)}, ${rate} MiB/s`;
    }
    case 'Waiting': {
      const have = hasProgress(state) ? ` (${sizesOf(state)} are here)` : '';
      return `the base model could not be fetched${have} and is tried again: ${state.code}: ${state.message}`;
    }
    case 'Loading': {
      const what =
        state.failure === undefined
          ? 'the base model is being loaded'
          : `the base model could not be loaded and is tried again: ${state.failure}`;
      return state.doing === undefined ? what : `${what} (${state.doing})`;
    }
    case 'Ready':
      return '';
  }
};
