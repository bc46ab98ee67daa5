import { expect, it } from 'vitest';
import { operatorClusterRules, operatorNamespaceRules, type Rule } from '../../../../cdk8s/rbac.ts';
import { operatorRights, rightText } from './operator-rights.ts';

const rightsOf = (rules: readonly Rule[], namespace?: string): string[] =>
  rules.flatMap(({ apiGroups, resources, resourceNames = [undefined], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) =>
          verbs.map((verb) => {
            const right = { verb, group, resource, ...(name === undefined ? {} : { name }) };
            return `${rightText(right)} in ${namespace ?? 'all'}`;
          }),
        ),
      ),
    ),
  );

it('asks for what the roles of the chart give the operator, no more and no less', () => {
  const asked = operatorRights('here').map((right) => `${rightText(right)} in ${right.namespace ?? 'all'}`);
  const given = [...rightsOf(operatorClusterRules), ...rightsOf(operatorNamespaceRules, 'here')];
  expect(asked.toSorted()).toEqual(given.toSorted());
});
