"""Plan -> Plan: each makes the network quicker and none changes what it means. Each runs once, in the plan's order."""
