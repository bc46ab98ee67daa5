import type { StatusResponse } from '../../../gen/adaptlet/inference/v1/admin.ts';
import type { Operator } from '../../../runtime/engine/ort/operator.ts';
import type { DeviceMemory } from '../../../runtime/state/memory.ts';
import type { Asked } from '../finding.ts';
import type { Handshake } from '../handshake.ts';

/** A file that the settings name. */
export type NamedFile = { readonly path: string; readonly text: Asked<string> };

/** Everything that the checks of a node look at. A part that is not set is undefined. */
export type NodeFacts = {
  /** Wall time in milliseconds. */
  readonly now: number;
  readonly status: Asked<StatusResponse>;
  readonly data:
    | {
        readonly path: string;
        readonly access: Asked<true>;
        readonly space: Asked<{ readonly freeBytes: number; readonly totalBytes: number }>;
        /** Whether a process owns the store in it now. */
        readonly isLocked: boolean;
      }
    | undefined;
  readonly model:
    | {
        readonly kind: 'folder';
        readonly path: string;
        /** Files of a base model that are not there. */
        readonly missing: Asked<readonly string[]>;
      }
    | { readonly kind: 'registry'; readonly url: string }
    | undefined;
  readonly operator:
    | {
        readonly address: string;
        readonly addresses: Asked<readonly string[]>;
        /** Undefined where the authority cannot be read. */
        readonly handshake: Asked<Handshake> | undefined;
      }
    | undefined;
  readonly ca: NamedFile | undefined;
  readonly token: NamedFile | undefined;
  /** What a device outside of the cluster has in place of a token; absent: it never enrolled. */
  readonly device?: Asked<Pick<DeviceMemory, 'name' | 'address' | 'authority' | 'certificate'>> | undefined;
  /** As the settings ask for them. */
  readonly wantedProviders: readonly string[];
  /** The native operator of adapters; `found` is undefined where none was built. */
  readonly lora: {
    /** As the settings ask for it: auto, off, or a path. */
    readonly wish: string;
    readonly found: Asked<Pick<Operator, 'path' | 'instructionSet' | 'products'> | undefined>;
    /** What linears of base models have that were prepared here, in words that follow "linears". */
    readonly linears?: readonly string[];
    /** Which memory the system gives in pages of 2 MiB, its word for it in brackets; absent: it does not say. */
    readonly largePages?: string | undefined;
  };
  /** What the library has, when it can be loaded. */
  readonly providers: Asked<readonly string[]>;
};
