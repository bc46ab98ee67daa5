import { AdapterReport } from '../gen/adaptlet/control/v1/control.ts';
import { partHashesOf } from './parts.ts';

/** SHA-256 of each part of what a runtime reports of its adapters; see ReportLike of the protocol. */
export const reportPartHashes = (adapters: Iterable<AdapterReport>, parts: number): Buffer[] =>
  partHashesOf(
    [...adapters].map((adapter) => [adapter.key, textOf(adapter)] as const),
    parts,
  );

const textOf = (adapter: AdapterReport): Buffer => {
  const bytes = AdapterReport.encode(adapter).finish();
  return Buffer.concat([Buffer.from(`${bytes.length}\n`), bytes]);
};
