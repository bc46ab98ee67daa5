import { Command } from 'commander';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { startGraphThread } from '../../runtime/base-model/graph-thread.ts';
import { packModel } from '../../runtime/base-model/pack-model.ts';
import { findGraph } from '../../runtime/engine/model/graph-file.ts';
import { sizeText } from '../registry/progress.ts';
import { imageOf } from '../registry/registry-flags.ts';
import { printResult, pushPacked, type TransferFlags, withPushFlags } from '../registry/transfer.ts';

type Flags = TransferFlags & { readonly modelFile?: string };

/** `adaptlet model push`. */
export const pushCommand = (): Command =>
  withPushFlags(new Command('push'))
    .description(
      'push the folder of a base model to a registry; the same files have the same digest everywhere',
    )
    .argument(
      '<folder>',
      'folder with the ONNX file; what it shares with other precisions may lie in its parent',
    )
    .argument('<reference>', 'registry/repository[:tag]')
    .option(
      '--model-file <file>',
      'its ONNX file, where there are several, such as onnx/model_q4.onnx; it is pushed as model.onnx',
    )
    .addHelpText(
      'after',
      '\nPrints the digest, and what to start a runtime with. oras, crane and ModelPack tools read what is pushed.\n\nExample:\n  adaptlet model push onnx-int4 registry.example/models/smollm2:int4',
    )
    .action(async (folder: string, reference: string, flags: Flags) => {
      const image = imageOf(reference);
      const { signal } = new AbortController();
      await using disk = startDiskThread();
      await using graphs = startGraphThread();
      const packed = await packModel(findGraph(folder, flags.modelFile), {
        readGraph: (path) => graphs.read(path),
        hash: async ({ path }) => (await disk.hash(path, signal)).digest,
      });
      const place = await pushPacked(image, packed, flags);
      const { bytes, digest } = packed;
      const model = `oci://${place}@${digest}`;
      const result = { digest, tag: image.tag ?? '', bytes, files: packed.blobs.size - 1, model };
      const text = [
        `pushed ${place}${image.tag === undefined ? '' : `:${image.tag}`}, ${sizeText(bytes)}`,
        digest,
        `--model ${model}`,
        '',
      ].join('\n');
      printResult(flags, text, result);
    });
