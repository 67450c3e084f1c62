#!/bin/sh
echo "summed up"
