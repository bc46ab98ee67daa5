import { Command, Option } from 'commander';
import { describeSettings, type Given, readSettings } from '../settings/settings.ts';
import { checkNode } from './doctor/node/checks.ts';
import { gatherNode, nodeSettingsSchema } from './doctor/node/gather.ts';
import { exitCodeOf, reportJson, reportText } from './doctor/report.ts';
import { type DoctorOptions, examineCluster, withDoctorOptions } from './kubectl/doctor.ts';

const examineNode = async (flags: Given & Pick<DoctorOptions, 'output'>): Promise<void> => {
  const findings = checkNode(
    await gatherNode(readSettings(nodeSettingsSchema, flags, process.env), Date.now),
  );
  process.stdout.write(flags.output === 'json' ? reportJson(findings) : reportText(findings));
  process.exitCode = exitCodeOf(findings);
};

/** `adaptlet doctor`: of a cluster as `kubectl adaptlet doctor`, with --node of the node that it runs on. */
export const doctorCommand = (version: string): Command => {
  const command = withDoctorOptions(new Command('doctor'))
    .description(
      'look for what is wrong with a cluster, or with this node, and say what to do; it changes nothing',
    )
    .option('--node', 'look at the runtime on this node, without a cluster; the options below are for it');
  // Of a cluster, the same option names a replica.
  for (const { flag, variable, text } of describeSettings(nodeSettingsSchema))
    if (flag !== '--operator') command.addOption(new Option(`${flag} <value>`, `${text} [${variable}]`));
  return command.action((options: DoctorOptions & { readonly node?: boolean } & Given) =>
    options.node === true ? examineNode(options) : examineCluster(options, version),
  );
};
