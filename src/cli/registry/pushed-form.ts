import { type Command, Option } from 'commander';
import type { PackForm } from '../../artifact/pack-forms.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';

export type FormFlags = {
  readonly layers?: 'raw' | 'tar';
  readonly asImage?: boolean;
  readonly legacyCnai?: boolean;
};

/** Flags for readers that know no raw layers, mount images only, or know ModelPack by its former names. */
export const withFormFlags = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--layers <form>',
        'raw, or tar: an archive for each file, for tools without raw layers; it has another digest',
      ).choices(['raw', 'tar']),
    )
    .option(
      '--as-image',
      'an image with the files below /models, for container engines that mount images; it has another digest',
    )
    .option(
      '--legacy-cnai',
      'with the media types that ModelPack had before it came to CNCF; it has another digest',
    );

/**
 * The form that flags ask for; undefined: as a folder has its digest.
 * @throws AdaptletError CONFIG_INVALID
 */
export const formFrom = ({ layers, asImage, legacyCnai }: FormFlags): PackForm | undefined => {
  if (asImage === true && (layers !== undefined || legacyCnai === true)) {
    throw new AdaptletError('CONFIG_INVALID', '--as-image makes an image, which is no ModelPack', {
      advice: 'Leave out --layers and --legacy-cnai, or --as-image.',
    });
  }
  if (asImage === true) return { kind: 'image' };
  if (legacyCnai !== true && (layers ?? 'raw') === 'raw') return undefined;
  return { kind: 'ModelPack', layers: layers ?? 'raw', legacyCnai: legacyCnai === true };
};
