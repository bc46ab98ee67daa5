import { Helm } from 'cdk8s';
import { Construct } from 'constructs';

export type AdaptletInstallProps = {
  /** charts/adaptlet, a packed chart, or oci://… */
  readonly chart: string;
  /** It must exist. Default: adaptlet-system. */
  readonly namespace?: string;
  /** As in values.yaml of the chart. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** Version of the cluster, for what depends on it. Default: the newest that the helm in use knows. */
  readonly kubeVersion?: string;
};

/**
 * An install of Adaptlet: what the Helm chart makes, without the Job that Helm runs before an uninstall. `helm` renders it
 * and must be in the PATH.
 */
export class AdaptletInstall extends Construct {
  constructor(scope: Construct, id: string, props: AdaptletInstallProps) {
    super(scope, id);
    const { chart, namespace = 'adaptlet-system', values = {}, kubeVersion } = props;
    new Helm(this, 'chart', {
      chart,
      releaseName: 'adaptlet',
      namespace,
      values: { ...values },
      helmFlags: ['--no-hooks', ...(kubeVersion === undefined ? [] : ['--kube-version', kubeVersion])],
    });
  }
}
