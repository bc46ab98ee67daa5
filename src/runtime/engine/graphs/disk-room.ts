import { type StatsFs, statfsSync } from 'node:fs';
import { bytesBelow } from '../../../disk/bytes-below.ts';

/** Kubelets put pods off a node whose disk has less free. */
const freeShare = 0.1;

type DiskSize = Pick<StatsFs, 'bavail' | 'blocks' | 'bsize'>;

/** What is written, in bytes. */
export type Written = {
  /** At a time. */
  readonly bytes: number;
  /** Of that, what stays; at most. */
  readonly keptBytes: number;
};

/** Where that is written, and the room that is left there, in bytes. */
export type DiskRoom = {
  readonly folder: string;
  /** By the disk budget. */
  readonly budgetBytes: number;
  /** On the disk, of which a tenth is left free. */
  readonly diskBytes: number;
};

/** The room of a folder that may have so many bytes by the disk budget, with what is there. */
export const diskRoom = async (
  folder: string,
  budgetBytes: number,
  sizeOf: (folder: string) => DiskSize = statfsSync,
): Promise<DiskRoom> => {
  const { bavail, blocks, bsize } = sizeOf(folder);
  const diskBytes = (bavail - blocks * freeShare) * bsize;
  return { folder, budgetBytes: budgetBytes - (await bytesBelow(folder)), diskBytes };
};

/** Bytes that have to go for it; 0 where it fits. */
export const missingBytes = ({ bytes, keptBytes }: Written, { budgetBytes, diskBytes }: DiskRoom): number =>
  Math.max(0, keptBytes - budgetBytes, bytes - diskBytes);

/** As people read it: what is needed is rounded up, what there is rounded down. */
export const neededText = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
const thereText = (bytes: number): string => `${Math.max(0, Math.floor(bytes / 2 ** 20))} MiB`;

/**
 * Refuses to write what does not fit.
 * @throws Error
 */
export const refuseWithoutRoom = (
  { bytes, keptBytes }: Written,
  { folder, budgetBytes, diskBytes }: DiskRoom,
): void => {
  if (keptBytes > budgetBytes)
    throw new Error(
      `${neededText(keptBytes)} do not fit the disk budget of this runtime, which has room for ${thereText(budgetBytes)}`,
    );
  if (bytes > diskBytes)
    throw new Error(
      `${neededText(bytes)} do not fit the disk of ${folder}, which has room for ${thereText(diskBytes)}: a tenth of it is left free`,
    );
};
