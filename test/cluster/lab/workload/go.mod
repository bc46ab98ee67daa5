module adaptlet.test/workload

go 1.26
