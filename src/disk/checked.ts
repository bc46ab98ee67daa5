import { crc32 } from 'node:zlib';
import { z } from 'zod';

const envelope = z.object({ format: z.literal(1), crc32: z.int(), body: z.string() });

/** A value as the text of a file that says of itself whether it is whole. */
export const withChecksum = (value: unknown): string => {
  const body = JSON.stringify(value);
  return JSON.stringify({ format: 1, crc32: crc32(body), body });
};

/**
 * What {@link withChecksum} was given.
 * @throws Error of a text that is torn, was changed, or has another format
 */
export const checked = (text: string): unknown => {
  const { body, crc32: expected } = envelope.parse(JSON.parse(text));
  if (crc32(body) !== expected) throw new Error('its checksum does not match');
  return JSON.parse(body);
};
