import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const weights = 'adapter_model.safetensors';

/**
 * Copies of a PEFT folder that differ in one byte of their last tensor: artifacts of one size with digests of their own.
 * The lowest byte of a value changes, so that it stays finite.
 */
export const writePerturbed = async (
  source: string,
  folder: string,
  count: number,
): Promise<readonly string[]> => {
  const bytes = await readFile(join(source, weights));
  // Values are little-endian, of 2 or 4 bytes: 4 bytes before the end a lowest byte lies.
  const at = bytes.length - 4;
  const first = bytes.readUInt8(at);
  const names: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const name = `artifact-${i}`;
    await mkdir(join(folder, name), { recursive: true });
    await cp(join(source, 'adapter_config.json'), join(folder, name, 'adapter_config.json'));
    bytes.writeUInt8((first + i) % 256, at);
    await writeFile(join(folder, name, weights), bytes);
    names.push(name);
  }
  return names;
};
